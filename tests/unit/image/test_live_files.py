"""The live system's own part of [live]: what the initramfs lays over the root, and the hooks."""

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from appliance.live.archive import RootFile, pack
from tests.unit.image.test_scripts import box, pc, start

__all__ = ["box", "pc"]

CHROOT = """\
#!/bin/sh
# The archive goes into the directory, as whoever runs the tests.
cd "$1" && shift && exec "$@" --no-same-owner
"""


class Server(ThreadingHTTPServer):
    """Sends these answers; an int is a status, and None: not more than the half of an archive."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.archives: dict[str, bytes] = {}
        self.listings: list[bytes | int] = []
        self.asked: list[str] = []

    def offer(self, *archives: bytes) -> None:
        named = {hashlib.sha256(each).hexdigest(): each for each in archives}
        self.archives |= named
        self.listings.append("".join(f"{name} {len(each)}\n" for name, each in named.items()).encode())


class Answers(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        name = self.path.rpartition("/")[2]
        answer = self.server.listings.pop(0) if name == "live" else self.server.archives.get(name[:-4], 404)
        if isinstance(answer, int):
            self.send_error(answer)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


@pytest.fixture
def server(pc: Path) -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    line = (pc / "proc/cmdline").read_text()
    (pc / "proc/cmdline").write_text(f"{line.strip()} netboot_appliance.port={server.server_port}\n")
    (pc / "bin/chroot").write_text(CHROOT)
    (pc / "bin/chroot").chmod(0o755)
    for name in ("fetch-live", "hooks"):
        script = pc / "scripts" / name
        text = script.read_text()
        for real in ("/run/netboot-live", "/run/netboot-setup", "/etc/netboot-hooks"):
            text = text.replace(real, f"{pc}{real}")
        text = text.replace(f"$root{pc}/etc", "$root/etc/ssl/certs")
        script.write_text(text)
    (pc / "root/etc/ssl/certs").mkdir(parents=True)
    (pc / "root/etc/ssl/certs/ca-certificates.crt").write_text("Debian's\n")
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def fetch(pc: Path) -> str:
    """What the screen shows."""
    done = start(pc, "sh", f"{pc}/scripts/fetch-live", f"{pc}/root")
    assert (done.returncode, done.stderr) == (0, "")
    assert not (pc / "run/netboot-live").exists()
    return done.stdout


def trouble(pc: Path) -> str:
    """What the heartbeats say."""
    file = pc / "run/netboot-setup"
    return file.read_text() if file.exists() else ""


MOTD = pack({"etc/motd": RootFile(b"first\n"), "root/.ssh": RootFile(mode=0o700, directory=True)})
AUTHORITY = pack(
    {
        "etc/motd": RootFile(b"second\n", 0o600),
        "usr/local/share/ca-certificates/netboot-appliance.crt": RootFile(b"ours\n"),
    }
)


def test_the_files_are_laid_over_the_root_in_their_order(pc: Path, server: Server) -> None:
    server.offer(MOTD, AUTHORITY)
    assert fetch(pc) == ""
    assert trouble(pc) == ""
    motd = pc / "root/etc/motd"
    assert (motd.read_text(), motd.stat().st_mode & 0o777) == ("second\n", 0o600)
    assert (pc / "root/root/.ssh").stat().st_mode & 0o777 == 0o700
    assert (pc / "root/etc/ssl/certs/ca-certificates.crt").read_text() == "Debian's\nours\n"
    assert server.asked[0] == "/boot/525400aabbcc/T0ken-1_x/live"


def test_an_archive_that_is_damaged_is_fetched_again_and_nothing_of_it_is_used(pc: Path, server: Server) -> None:
    for _ in range(5):
        server.offer(MOTD)
    server.archives = {name: b"\0" * 512 + content[512:] for name, content in server.archives.items()}
    assert "the server sent no files for this computer: an archive is not what the server has" in fetch(pc)
    assert not (pc / "root/etc/motd").exists()
    assert "an archive is not what the server has" in trouble(pc)
    assert len(server.asked) == 10


def test_what_was_changed_meanwhile_is_asked_for_again(pc: Path, server: Server) -> None:
    server.listings.append(f"{'0' * 64} 1\n".encode())
    server.offer(MOTD)
    assert fetch(pc) == ""
    assert (pc / "root/etc/motd").read_text() == "first\n"


def test_a_server_that_refuses_is_not_asked_again(pc: Path, server: Server) -> None:
    server.listings.append(403)
    assert "the server sent no files for this computer: server returned error: HTTP/1.1 403" in fetch(pc)
    assert "403" in trouble(pc)
    assert len(server.asked) == 1


def hook(pc: Path, name: str, text: str) -> None:
    path = pc / "etc/netboot-hooks" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def run_hooks(pc: Path, **variables: str) -> str:
    done = start(pc, "sh", f"{pc}/scripts/hooks", **variables)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.usefixtures("server")
def test_hooks_run_in_their_order_and_a_failure_stops_none(pc: Path) -> None:
    hook(pc, "10-first", f'echo first >> {pc}/ran; echo "proxy: $http_proxy"')
    hook(pc, "20-fails", f"echo second >> {pc}/ran; printf 'why \\033[2J\\n'; exit 3")
    hook(pc, "30-last", f"echo last >> {pc}/ran; sleep 1000 &")
    said = run_hooks(pc, http_proxy="http://10.0.0.8:3128")
    assert (pc / "ran").read_text() == "first\nsecond\nlast\n"
    assert "hook 10-first: proxy: http://10.0.0.8:3128\nhook 10-first is done\n" in said
    assert "hook 20-fails: why ?[2J\nhook 20-fails ended with 3\n" in said
    assert said.endswith("hook 30-last is done\n")
    assert trouble(pc) == "hook 20-fails ended with 3\n"
    assert "boinc-525400aabbcc: hook 20-fails ended with 3" in (pc / "dev/ttyS0").read_text()


@pytest.mark.usefixtures("server")
def test_hooks_without_an_end_are_stopped_and_told_beside_what_failed_before(pc: Path) -> None:
    (pc / "run/netboot-setup").write_text("the server's files for this computer do not fit: no space\n")
    script = pc / "scripts/hooks"
    script.write_text(script.read_text().replace("left=60", "left=1").replace("-lt 60", "-lt 1"))
    hook(pc, "10-hangs", "exec tail -f /dev/null")
    hook(pc, "20-next", "true")
    assert "hook 20-next is done" in run_hooks(pc)
    assert trouble(pc) == (
        "the server's files for this computer do not fit: no space; hook 10-hangs took more than 1 seconds\n"
    )
