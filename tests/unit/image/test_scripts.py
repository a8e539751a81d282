"""The scripts of the live system: shellcheck, and their behaviour with stand-ins for what only a booted PC has.

They run for real, in QEMU, in tests/e2e.
"""

import hashlib
import io
import os
import re
import shutil
import subprocess
import tarfile
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from appliance.images import emulated_pc
from image import build
from image.recipe import BOINC_GID, BOINC_UID
from services.ethernet import MacAddress
from services.events import Reported
from services.http.reports import decode
from tests.unit.debian import need

LIVE = build.TREE / "includes.chroot_after_packages"
SCRIPTS = LIVE / "usr/lib/netboot-appliance"
UNITS = LIVE / "usr/lib/systemd/system"
HOOK = build.TREE / "hooks/live/0100-netboot-appliance.hook.chroot"

BUSYBOX = """\
#!/bin/sh
# busybox wget -q [-S] [-c] -O FILE [--post-data DATA] URL, by curl.
[ "$1" != sha256sum ] || exec sha256sum
[ "$1 $2" = "wget -q" ] || exit 99
shift 2
[ "$1" != -S ] || { headers=1; shift; }
[ "$1" != -c ] || { continue=1; shift; }
[ "$1" = -O ] || exit 99
file=$2
shift 2
[ "$1" != --post-data ] || { post=1 data=$2; shift 2; }
why=$(curl -sSf ${continue:+-C -} -D "$0.headers" -o "$file" ${post:+--data-binary "$data"} "$1" 2>&1)
ended=$?
[ -z "${headers:-}" ] || sed 's/^/  /;s/\r$//' "$0.headers" >&2
[ $ended -ne 0 ] || exit 0
echo "wget: ${why##*curl: }" | sed 's|(22) The requested URL returned error:|server returned error: HTTP/1.1|' >&2
exit 1
"""


SETPRIV = """\
#!/bin/sh
# Runs the command as whoever runs the tests, and says as whom it would have run.
who=$1
while [ "$1" != -- ]; do shift; done
shift
AS="$who" exec "$@"
"""


NFT = """\
#!/bin/sh
# Keeps the latest rules.
[ "$*" = "-f -" ] || exit 99
cat > "$0.rules"
"""

DATE = """\
#!/bin/sh
# A clock that says $CLOCK, and keeps what it is set to in a file.
case $* in
	+%s) echo "${CLOCK:-2000000000}" ;;
	*-s*) echo "$*" >> "$0.set" ;;
	*) PATH=${PATH#*:} exec date "$@" ;;
esac
"""

IP = """\
#!/bin/sh
[ -z "${LOG:-}" ] || echo "ip $*" >> "$LOG"
case $* in
	*"address show"*) [ -z "${HELD-x}" ] || echo '2: eth9    inet 10.77.0.101/24 brd 10.77.0.255 scope global eth9' ;;
	*"route get"*) echo "127.0.0.1 ${ROUTER:+via $ROUTER }dev eth9 src 10.77.0.101 uid 0" ;;
	*"route show match"*) [ -z "${NEAR-x}" ] && echo "default via 10.77.0.2 dev eth9" || echo "10.77.0.0/24 dev eth9" ;;
	*"route show"*) printf '192.0.2.0/25 dev eth9 proto kernel src 192.0.2.7 \\n10.77.0.0/24 dev eth9 \\n' ;;
esac
"""


SYSTEMCTL = """\
#!/bin/sh
echo "$*" >> "$0.asked"
"""


def scripts() -> list[Path]:
    first = re.compile(rb"#!/bin/(ba)?sh|# shellcheck shell=")
    found = [path for path in build.TREE.rglob("*") if path.is_file() and first.match(path.read_bytes())]
    assert len(found) == 32
    return found


def test_all_scripts_pass_shellcheck() -> None:
    need("shellcheck")
    checked = subprocess.run(
        ["shellcheck", "--external-sources", "--source-path", str(SCRIPTS), *map(str, scripts())],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.stdout + checked.stderr == ""


def test_the_image_fixes_the_owner_of_the_state() -> None:
    assert BOINC_UID == BOINC_GID
    assert f"boinc={BOINC_UID}\n" in HOOK.read_text()


def test_every_unit_starts_a_script_that_exists_and_is_enabled() -> None:
    enabled = HOOK.read_text().partition("systemctl enable")[2]
    for unit in UNITS.glob("*.service"):
        (run,) = re.findall(r"^Exec(?:Start|Stop)=(\S+)", unit.read_text(), flags=re.MULTILINE)
        assert (LIVE / run.removeprefix("/")).is_file(), unit.name
        # The agent starts it, when there is an owner.
        by_agent = f"systemctl start --no-block {unit.name}" in (SCRIPTS / "agent").read_text()
        assert unit.name in enabled or "@" in unit.name or by_agent, unit.name


BOINC_CLIENT = """\
[Service]
User=daemon
ExecStart=/bin/true
ProtectSystem=strict
"""
"""What matters here of the unit in Debian's package."""
MOST_EXPOSED = 2.2
"""How exposed systemd-analyze may find boinc-client.service; 2.1 was measured, and 8.7 without our part of the unit."""


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The live system's units, with a program that exists here."""
    for unit in UNITS.glob("*.service"):
        text = re.sub("^(Exec(Start|Stop))=.*", r"\1=/bin/true", unit.read_text(), flags=re.MULTILINE)
        (tmp_path / unit.name).write_text(text)
    (tmp_path / "boinc-client.service").write_text(BOINC_CLIENT)
    shutil.copytree(LIVE / "etc/systemd/system/boinc-client.service.d", tmp_path / "boinc-client.service.d")
    return tmp_path


def analyze(*arguments: object) -> str:
    """What systemd-analyze says, without colours."""
    need("systemd-analyze")
    environment = {**os.environ, "SYSTEMD_PAGER": "", "LC_ALL": "C.UTF-8"}
    command = ["systemd-analyze", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_systemd_has_no_complaint_about_any_unit_of_the_live_system(units: Path) -> None:
    assert analyze("verify", "--man=no", *(unit for unit in units.glob("*.service") if "@" not in unit.name)) == ""


def test_boinc_is_sandboxed(units: Path) -> None:
    last = analyze("security", "--offline=true", units / "boinc-client.service").splitlines()[-1]
    assert 0 < float(last.split(":")[1].split()[0]) <= MOST_EXPOSED


BUILT = 1_700_000_000
"""When the image was built, in seconds since 1970."""


class Box(ThreadingHTTPServer):
    """The box's HTTP side: records requests, and serves files or refuses."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.asked: list[tuple[str, str]] = []
        self.files: bytes | None = None
        self.cut: list[int] = []
        """How many bytes of the body the next answers send before they are cut off."""
        self.exchanges: list[int | str] = []
        """What the next exchanges are answered: a token, or the number of a refusal; 0 is no answer."""


class _Request(BaseHTTPRequestHandler):
    server: Box
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: object) -> None:
        pass

    def do_GET(self) -> None:
        asked = self.headers["Range"] or ""
        self.server.asked.append((self.path, asked))
        if self.server.files is None:
            self.send_error(403)
            return
        start = int(asked.removeprefix("bytes=").removesuffix("-") or 0)
        body = self.server.files[start:]
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{len(self.server.files) - 1}/{len(self.server.files)}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: self.server.cut.pop(0)] if self.server.cut else body)
        self.close_connection = True

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.asked.append((self.path, body))
        if not self.path.endswith("/exchange"):
            self.send_response(204)
            self.end_headers()
            return
        match self.server.exchanges.pop(0):
            case str() as token:
                self.send_response(200)
                self.send_header("Content-Length", str(len(token)))
                self.end_headers()
                self.wfile.write(token.encode())
            case 0:
                self.close_connection = True
            case number:
                self.send_error(number)


@pytest.fixture
def box() -> Iterator[Box]:
    server = Box()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def pc(tmp_path: Path, box: Box) -> Path:
    """A directory that stands in for the PC's root, with the scripts pointed at it."""
    need("curl")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/busybox").write_text(BUSYBOX)
    (tmp_path / "bin/busybox").chmod(0o755)
    (tmp_path / "bin/sleep").write_text("#!/bin/sh\n")
    (tmp_path / "bin/sleep").chmod(0o755)
    for program, text in (
        ("setpriv", SETPRIV),
        ("nft", NFT),
        ("ip", IP),
        ("date", DATE),
        ("systemctl", SYSTEMCTL),
    ):
        (tmp_path / "bin" / program).write_text(text)
        (tmp_path / "bin" / program).chmod(0o755)
    for name in ("proc", "run/netboot-appliance", "etc", "data", "scripts", "net/eth9", "net/lo", "dev"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "net/eth9/address").write_text("52:54:00:aa:bb:cc\n")
    (tmp_path / "net/eth9/mtu").write_text("1500\n")
    (tmp_path / "net/lo/address").write_text("00:00:00:00:00:00\n")
    (tmp_path / "proc/uptime").write_text("12.34 20.00\n")
    (tmp_path / "proc/meminfo").write_text("MemTotal:         340000 kB\nMemFree:          300000 kB\n")
    (tmp_path / "consoles").write_text("tty0 ttyS0\n")
    (tmp_path / "built").touch()
    os.utime(tmp_path / "built", (BUILT, BUILT))
    (tmp_path / "proc/cmdline").write_text(
        "BOOT_IMAGE=x boot=live nfsroot=127.0.0.1:/images/r BOOTIF=01-52-54-00-aa-bb-cc quiet "
        f"netboot_appliance.port={box.server_port} netboot_appliance.token=T0ken-1_x "
        "netboot_appliance.state=/state/525400aabbcc panic=30\n"
    )
    for script in SCRIPTS.iterdir():
        text = script.read_text()
        for real, here in (
            ("/usr/lib/netboot-appliance", tmp_path / "scripts"),
            ("/proc/", f"{tmp_path}/proc/"),
            ("/sys/class/net/", f"{tmp_path}/net/"),
            ("/sys/class/tty/console/active", f"{tmp_path}/consoles"),
            ("/dev/$console", f"{tmp_path}/dev/$console"),
            ("/var/lib/boinc-client", tmp_path / "data"),
            ("/run/netboot-appliance", tmp_path / "run/netboot-appliance"),
            ("/run/systemd", f"{tmp_path}/run/systemd"),
            ("/var/lib/dpkg/status", tmp_path / "built"),
            ("/etc/resolv", f"{tmp_path}/etc/resolv"),
            ("/etc/ssl/certs", f"{tmp_path}/etc"),
        ):
            text = text.replace(real, str(here))
        (tmp_path / "scripts" / script.name).write_text(text)
        (tmp_path / "scripts" / script.name).chmod(0o755)
    return tmp_path


def start(pc: Path, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    environment = {"PATH": f"{pc / 'bin'}:{os.environ['PATH']}", "TMPDIR": str(pc), **variables}
    return subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False, timeout=20)


def functions(pc: Path, line: str) -> str:
    done = start(pc, "sh", "-euc", f". {pc}/scripts/boot.sh; {line}")
    assert done.stderr == ""
    return done.stdout.strip()


def test_the_command_line_tells_everything_about_a_boot(pc: Path, box: Box) -> None:
    assert functions(pc, 'echo "$SERVER $MAC $NAME $STATE"') == (
        "127.0.0.1 525400aabbcc boinc-525400aabbcc /state/525400aabbcc"
    )
    assert functions(pc, 'echo "$BOX"') == f"http://127.0.0.1:{box.server_port}/boot/525400aabbcc/T0ken-1_x"


@pytest.mark.parametrize("name", ["commandline", "commandline-http"])
def test_the_scripts_read_what_the_box_renders(pc: Path, name: str) -> None:
    golden = (Path(__file__).parent / "golden" / name).read_text()
    assert all(word.partition("=")[0] in golden for word in ("netboot_appliance.port", "netboot_appliance.state"))
    (pc / "proc/cmdline").write_text(golden)
    assert functions(pc, 'echo "$BOX $STATE"') == (
        "http://10.77.0.1:80/boot/525400aabbcc/T0ken-1_x /srv/netboot/state/525400aabbcc"
    )


def test_the_boot_interface_is_found_by_its_address(pc: Path) -> None:
    assert functions(pc, "interface") == "eth9"


def test_a_pc_that_only_tries_an_image_keeps_its_work_in_memory(pc: Path) -> None:
    (pc / "bin/mount").write_text(f'#!/bin/sh\necho "$*" > {pc}/mounted\n')
    (pc / "bin/id").write_text("#!/bin/sh\necho 731\n")
    for name in ("mount", "id"):
        (pc / "bin" / name).chmod(0o755)
    line = (pc / "proc/cmdline").read_text().strip()
    # The last one counts: a box for tests has it among the kernel's additional arguments.
    (pc / "proc/cmdline").write_text(f"{line} netboot_appliance.state={emulated_pc.STATE}\n")
    assert start(pc, f"{pc}/scripts/state").returncode == 0
    words = f"-t tmpfs -o mode=0700,nosuid,nodev,uid=731,gid=731 tmpfs {pc}/data"
    assert (pc / "mounted").read_text() == f"{words}\n"
    (pc / "proc/cmdline").write_text(f"{line}\n")
    assert start(pc, f"{pc}/scripts/state").returncode == 0
    assert "nfs4" in (pc / "mounted").read_text()


def test_a_report_is_a_form_whatever_the_reason_contains(pc: Path, box: Box) -> None:
    assert start(pc, f"{pc}/scripts/report", "failed", "reason=mount.nfs4: access denied & more=1").returncode == 0
    assert box.asked == [
        (
            "/boot/525400aabbcc/T0ken-1_x/report",
            "stage=failed&uptime=12.34&reason=mount.nfs4:+access+denied+++more=1",
        )
    ]


def test_the_ramdisk_tells_the_box_its_address_before_it_mounts(pc: Path, box: Box) -> None:
    """The box exports nothing to an address behind a router before it has heard this boot's token from there."""
    text = (LIVE / "usr/lib/live/boot/9999-netboot-appliance").read_text()
    for real, here in (
        ("/usr/lib/netboot-appliance", pc / "scripts"),
        ("/sys/class/net/", f"{pc}/net/"),
        ("/run/net-", f"{pc}/run/net-"),
    ):
        text = text.replace(real, str(here))
    (pc / "live").write_text(text)
    (pc / "net/eth9/operstate").write_text("up\n")
    (pc / "run/net-eth9.conf").write_text("IPV4ADDR=10.79.0.7\n")
    for name in ("modprobe", "ip", "ipconfig"):
        shutil.copy(pc / "bin/sleep", pc / "bin" / name)
    line = f'DEVICE=eth9 SERVER=live-boot; . {pc}/live; do_netsetup && echo "$SERVER"'
    done = start(pc, "sh", "-uc", line)
    assert (done.stderr, done.stdout) == ("", "live-boot\n"), "the names of live-boot stay as they were"
    ((path, report),) = box.asked
    assert path == "/boot/525400aabbcc/T0ken-1_x/report"
    assert decode(MacAddress.parse("52:54:00:aa:bb:cc"), report.encode()) == Reported(
        MacAddress.parse("52:54:00:aa:bb:cc"), "initrd", {"uptime": "12.34"}
    )


def live_bottom(pc: Path, **lease: str) -> "subprocess.CompletedProcess[str]":
    """What the initramfs does last; `lease` is what ipconfig says of it."""
    text = (LIVE / "usr/share/initramfs-tools/scripts/live-bottom/netboot-appliance").read_text()
    for real, here in (
        ("/usr/lib/netboot-appliance", pc / "scripts"),
        ("/run/net-", f"{pc}/run/net-"),
        ("/sys/module/nfs/parameters", pc),
    ):
        text = text.replace(real, str(here))
    (pc / "live-bottom").write_text(text)
    said = {"IPV4ADDR": "10.77.0.7", **lease}
    (pc / "run/net-eth9.conf").write_text("".join(f"{name}='{value}'\n" for name, value in said.items()))
    for name in ("modprobe", "hostname"):
        shutil.copy(pc / "bin/sleep", pc / "bin" / name)
    zones = pc / "root/usr/share/zoneinfo"
    for zone in ("Europe/Berlin", "Etc/UTC"):
        (zones / zone).parent.mkdir(parents=True, exist_ok=True)
        (zones / zone).touch()
    (pc / "root/etc").mkdir()
    return start(pc, "sh", f"{pc}/live-bottom", rootmnt=str(pc / "root"))


@pytest.mark.parametrize(
    ("zone", "used"), [("Europe/Berlin", "Europe/Berlin"), ("", "Etc/UTC"), ("Mars/Olympus", ""), ("../../etc", "")]
)
def test_the_pc_has_the_time_zone_that_the_box_names(pc: Path, zone: str, used: str) -> None:
    line = (pc / "proc/cmdline").read_text()
    (pc / "proc/cmdline").write_text(f"netboot_appliance.zone={zone} {line}")
    done = live_bottom(pc)
    assert (done.returncode, done.stderr) == (0, "")
    localtime = pc / "root/etc/localtime"
    assert (str(localtime.readlink()) if localtime.is_symlink() else "") == (used and f"/usr/share/zoneinfo/{used}")
    told = f"this image does not know the time zone {zone}: its hours are UTC"
    assert (told in done.stdout) == (not used)


@pytest.mark.parametrize(
    ("lease", "line"),
    [
        ({"DOMAINSEARCH": "a.example b.example", "DNSDOMAIN": "c.example"}, "search a.example b.example\n"),
        ({"DNSDOMAIN": "c.example"}, "search c.example\n"),
        ({"DNSDOMAIN": "c\nnameserver 6.6.6.6"}, ""),
    ],
)
def test_the_ramdisks_name_servers_are_those_of_its_lease(pc: Path, lease: dict[str, str], line: str) -> None:
    live_bottom(pc, IPV4DNS0="10.77.0.2", IPV4DNS1="0.0.0.0", **lease)
    assert (pc / "root/etc/resolv.conf").read_text() == line + "nameserver 10.77.0.2\n"


def test_no_key_and_no_lid_puts_a_pc_to_sleep() -> None:
    login = (LIVE / "etc/systemd/logind.conf.d/netboot-appliance.conf").read_text()
    events = re.findall(r"^(Handle\w+|IdleAction)=(\w+)$", login, re.MULTILINE)
    assert dict(events)["HandlePowerKey"] == "poweroff"
    assert {action for event, action in events if event != "HandlePowerKey"} == {"ignore"}
    assert {"HandleLidSwitch", "HandleLidSwitchDocked", "HandleSuspendKey", "HandleHibernateKey"} <= dict(events).keys()
    masked = re.findall(r"\b(\S+)\.target", HOOK.read_text())
    assert {"sleep", "suspend", "hibernate", "hybrid-sleep", "suspend-then-hibernate"} <= set(masked)


def test_a_report_without_an_answer_fails(pc: Path) -> None:
    (pc / "proc/cmdline").write_text("nfsroot=127.0.0.1:/x BOOTIF=01-52-54-00-aa-bb-cc netboot_appliance.port=1\n")
    assert start(pc, f"{pc}/scripts/report", "reported").returncode != 0


URL = "/boot/525400aabbcc/image/r/live/filesystem.squashfs"


LAYERS = "filesystem.squashfs", "recipe.squashfs"


def fetch_root(
    pc: Path, box: Box, needed: int, layers: tuple[str, ...] = LAYERS[:1], built: bytes | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run as the initramfs of a PC with 332 MiB; the HTTP root needs `needed` MiB. What the box sends was `built`, by
    default."""
    digest = hashlib.sha256((box.files or b"") if built is None else built).hexdigest()
    server = f"http://127.0.0.1:{box.server_port}"
    (pc / "proc/cmdline").write_text(
        f"boot=live fetch={server}{URL} netboot_appliance.memory={needed} BOOTIF=01-52-54-00-aa-bb-cc "
        f"netboot_appliance.layers={','.join(f'{layer}:{digest}' for layer in layers)} "
        f"netboot_appliance.port={box.server_port} netboot_appliance.token=T0ken-1_x\n"
    )
    (pc / "bin/sleep").write_text(f"#!/bin/sh\necho $1 >> {pc}/slept\n")
    return start(pc, f"{pc}/scripts/fetch-root", server + URL, f"{pc}/filesystem.squashfs")


def test_an_http_root_is_loaded_into_memory(pc: Path, box: Box) -> None:
    box.files = b"live" * 5000
    done = fetch_root(pc, box, 332)
    assert (done.returncode, done.stderr) == (0, "")
    assert (pc / "filesystem.squashfs").read_bytes() == box.files
    assert box.asked == [(URL, "")]
    assert "boinc-525400aabbcc: the live system is in memory" in (pc / "dev/ttyS0").read_text()
    assert (pc / "filesystem.module").read_text() == "filesystem.squashfs\n"


def test_all_layers_of_an_http_root_are_loaded_and_live_boot_is_told_their_order(pc: Path, box: Box) -> None:
    box.files = b"live" * 5000
    done = fetch_root(pc, box, 332, LAYERS)
    assert (done.returncode, done.stderr) == (0, "")
    assert [(pc / layer).read_bytes() for layer in LAYERS] == [box.files] * 2
    assert [path.rpartition("/")[2] for path, _ in box.asked] == list(LAYERS)
    assert (pc / "filesystem.module").read_text().splitlines() == list(LAYERS)


def test_a_layer_that_is_not_the_one_that_was_built_is_never_used(pc: Path, box: Box) -> None:
    box.files = b"evil" * 5000
    assert fetch_root(pc, box, 332, built=b"live" * 5000).returncode != 0
    assert not (pc / "filesystem.squashfs").exists()
    assert not (pc / "filesystem.module").exists()
    *fetched, (_, report) = box.asked
    assert fetched == [(URL, "")] * 12, "from its beginning each time"
    assert "filesystem.squashfs+is+not+what+was+built" in report


def test_a_pc_with_too_little_memory_fetches_nothing_and_says_so(pc: Path, box: Box) -> None:
    box.files = b"live"
    assert fetch_root(pc, box, 333).returncode != 0
    ((path, report),) = box.asked
    assert path == "/boot/525400aabbcc/T0ken-1_x/report"
    taken = decode(MacAddress.parse("52:54:00:aa:bb:cc"), report.encode())
    assert isinstance(taken, Reported)
    reason = "332 MB of usable memory; an HTTP root needs 333 MB: give this PC root=nfs"
    assert (taken.stage, taken.details["reason"]) == ("failed", reason)
    assert reason in (pc / "dev/tty0").read_text()
    assert (pc / "slept").read_text() == "300\n"


def test_an_interrupted_http_root_is_continued(pc: Path, box: Box) -> None:
    box.files, box.cut = b"live" * 5000, [4096, 0, 4096]
    assert fetch_root(pc, box, 300).returncode == 0
    assert (pc / "filesystem.squashfs").read_bytes() == box.files
    assert box.asked == [(URL, asked) for asked in ("", "bytes=4096-", "bytes=4096-", "bytes=8192-")]


def test_an_http_root_that_is_refused_is_retried_a_few_times_then_reported(pc: Path, box: Box) -> None:
    assert fetch_root(pc, box, 300).returncode != 0
    *fetched, (_, report) = box.asked
    assert fetched == [(URL, "")] * 12
    assert "stage=failed" in report
    assert "the+live+system+could+not+be+fetched:" in report
    assert "403" in report


def test_a_silent_server_ends_the_boot(pc: Path, box: Box) -> None:
    (pc / "bin/timeout").write_text("#!/bin/sh\nexit 143\n")
    (pc / "bin/timeout").chmod(0o755)
    assert fetch_root(pc, box, 300).returncode != 0
    assert "could not be fetched: nothing arrived for two minutes" in (pc / "dev/ttyS0").read_text()


def archive(files: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            member.mode = 0o666
            tar.addfile(member, io.BytesIO(content.encode()))
    return buffer.getvalue()


def test_the_boinc_files_replace_those_of_an_earlier_boot_and_are_secret(pc: Path, box: Box) -> None:
    (pc / "data/gui_rpc_auth.cfg").write_text("old")
    (pc / "data/client_state.xml").write_text("state")
    box.files = archive({"gui_rpc_auth.cfg": "new", "account_example.org.xml": "account"})
    done = start(pc, f"{pc}/scripts/boinc-files")
    assert done.returncode == 0, done.stderr
    assert (pc / "data/gui_rpc_auth.cfg").read_text() == "new"
    assert (pc / "data/client_state.xml").read_text() == "state"
    for name in ("gui_rpc_auth.cfg", "account_example.org.xml"):
        assert (pc / "data" / name).stat().st_mode & 0o777 == 0o600
    assert (pc / "data/ca-bundle.crt").is_symlink()
    url = "/boot/525400aabbcc/T0ken-1_x"
    reported = "stage=reported&uptime=12.34&address=10.77.0.101"
    assert box.asked == [(f"{url}/boinc.tar", ""), (f"{url}/report", reported)]
    assert (pc / "run/netboot-appliance/reported").exists()


def test_only_plain_files_at_the_top_level_are_accepted(pc: Path, box: Box) -> None:
    box.files = archive({"gui_rpc_auth.cfg": "new", "account_a.xml": "a", "deep/file": "x"})
    assert start(pc, f"{pc}/scripts/boinc-files").returncode == 0
    assert sorted(path.name for path in (pc / "data").iterdir()) == [
        "account_a.xml",
        "ca-bundle.crt",
        "gui_rpc_auth.cfg",
        "netboot-files.sha256",
    ]


def test_an_archive_that_leads_outside_is_refused_completely(pc: Path, box: Box) -> None:
    (pc / "data/gui_rpc_auth.cfg").write_text("old")
    (pc / "data/account_example.org.xml").write_text("account")
    box.files = archive({"gui_rpc_auth.cfg": "new", "../outside": "x"})
    assert "using those of an earlier boot" in start(pc, f"{pc}/scripts/boinc-files").stdout
    assert (pc / "data/gui_rpc_auth.cfg").read_text() == "old"
    assert not list(pc.rglob("outside"))


def test_if_the_files_are_refused_those_of_an_earlier_boot_stay(pc: Path, box: Box) -> None:
    (pc / "data/gui_rpc_auth.cfg").write_text("old")
    (pc / "data/account_example.org.xml").write_text("account")
    done = start(pc, f"{pc}/scripts/boinc-files")
    assert done.returncode == 0
    assert "using those of an earlier boot" in done.stdout
    assert (pc / "data/gui_rpc_auth.cfg").read_text() == "old"
    assert [path.rpartition("/")[2] for path, _ in box.asked] == ["boinc.tar"] * 4 + ["report"]


def test_without_earlier_files_it_reports_and_asks_until_it_gets_them(pc: Path, box: Box) -> None:
    (pc / "bin/sleep").write_text(
        f"#!/bin/sh\necho slept >> {pc}/slept\n[ $(wc -l < {pc}/slept) -lt 7 ] || kill $PPID\n"
    )
    done = start(pc, f"{pc}/scripts/boinc-files")
    assert done.returncode != 0
    asked = [path.rpartition("/")[2] + body.partition("&")[0] for path, body in box.asked]
    assert asked == ["boinc.tar"] * 5 + ["reportstage=failed"] + ["boinc.tar"] * 2


LEASE = {"interface": "eth9", "ip": "10.77.0.101", "mask": "24", "router": "10.77.0.2 10.77.0.9", "dns": "10.77.0.2"}
"""What udhcpc says of a lease; it is for the address that the PC has."""
TO_SERVER = "ip route replace 127.0.0.1/32 dev eth9"
"""However a lease routes, a server in the local network is reached there."""


def lease_event(pc: Path, event: str, **options: str) -> list[str]:
    """What an event of udhcpc changes, as arguments of `ip`."""
    log = pc / "ip.log"
    log.unlink(missing_ok=True)
    done = start(pc, f"{pc}/scripts/lease-event", event, LOG=str(log), **LEASE | options)
    assert (done.returncode, done.stderr) == (0, "")
    lines = log.read_text().splitlines() if log.exists() else []
    return [line for line in lines if " show " not in line and " get " not in line]


@pytest.mark.parametrize("event", ["bound", "renew"])
def test_a_lease_sets_the_default_route_and_the_name_servers(pc: Path, event: str) -> None:
    changes = lease_event(pc, event, domain="site.example", dns="10.77.0.2 10.77.0.3")
    assert changes == [TO_SERVER, "ip route replace default via 10.77.0.2 dev eth9 onlink"]
    assert (pc / "etc/resolv.conf").read_text() == "search site.example\nnameserver 10.77.0.2\nnameserver 10.77.0.3\n"


@pytest.mark.parametrize(
    ("options", "changes"),
    [
        # RFC 3442: classless routes make the option `router` count for nothing.
        (
            {"staticroutes": "10.9.0.0/16 10.77.0.3 0.0.0.0/0 10.77.0.4 10.8.0.0/16 0.0.0.0"},
            [
                "ip route replace 10.9.0.0/16 via 10.77.0.3 dev eth9 onlink",
                "ip route replace 0.0.0.0/0 via 10.77.0.4 dev eth9 onlink",
                "ip route replace 10.8.0.0/16 dev eth9",
            ],
        ),
        ({"msstaticroutes": "0.0.0.0/0 10.77.0.4"}, ["ip route replace 0.0.0.0/0 via 10.77.0.4 dev eth9 onlink"]),
        (
            {"staticroutes": "10.9.0.0/16 10.77.0.3", "msstaticroutes": "0.0.0.0/0 10.77.0.4"},
            ["ip route replace 10.9.0.0/16 via 10.77.0.3 dev eth9 onlink", "ip route delete default dev eth9"],
        ),
        # The only way to the server stays.
        (
            {"staticroutes": "10.9.0.0/16 10.77.0.3", "NEAR": ""},
            ["ip route replace 10.9.0.0/16 via 10.77.0.3 dev eth9 onlink"],
        ),
        ({"staticroutes": "127.0.0.1/32 10.77.0.66", "NEAR": ""}, []),
    ],
)
def test_classless_routes_count_before_routers(pc: Path, options: dict[str, str], changes: list[str]) -> None:
    assert lease_event(pc, "bound", **options) == [TO_SERVER, *changes]


def test_a_server_behind_a_router_gets_no_route_of_its_own(pc: Path) -> None:
    """A lease that names a new router must be able to change the way there."""
    assert lease_event(pc, "bound", ROUTER="10.77.0.2") == ["ip route replace default via 10.77.0.2 dev eth9 onlink"]


@pytest.mark.parametrize(
    ("mtu", "used"),
    [("1400", True), ("576", True), ("9000", True), ("1500", False), ("575", False), ("68", False), ("99999", False)]
    + [(wrong, False) for wrong in ("", "-1", "abc", "600 ", "600;x", "0600")],
)
def test_an_mtu_is_used_if_every_host_can_take_it(pc: Path, mtu: str, used: bool) -> None:
    changes = lease_event(pc, "bound", mtu=mtu, router="")
    assert changes == [TO_SERVER, *([f"ip link set dev eth9 mtu {mtu}"] if used else [])]


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"search": "a.example b.example", "domain": "c.example"}, "search a.example b.example\n"),
        ({"search": "a.example\nnameserver 6.6.6.6", "domain": "c.example"}, "search c.example\n"),
        ({"domain": "$(touch x)"}, ""),
        ({"domain": "a'; touch x; '"}, ""),
        ({"domain": "*"}, ""),
        ({"domain": "x\noptions timeout:30"}, ""),
    ],
)
def test_the_search_list_counts_before_the_domain_and_holds_names_only(
    pc: Path, options: dict[str, str], line: str
) -> None:
    lease_event(pc, "bound", **options)
    assert (pc / "etc/resolv.conf").read_text() == line + "nameserver 10.77.0.2\n"


def test_a_lease_without_name_servers_keeps_the_current_ones(pc: Path) -> None:
    (pc / "etc/resolv.conf").write_text("nameserver 10.77.0.2\n")
    for dns in ("", "x", "10.77.0.2;x", "$(touch x)"):
        lease_event(pc, "renew", dns=dns, domain="site.example")
        assert (pc / "etc/resolv.conf").read_text() == "nameserver 10.77.0.2\n"


def test_the_time_servers_of_the_lease_are_asked_then_those_of_the_configuration(pc: Path) -> None:
    file = pc / "run/systemd/timesyncd.conf.d/netboot-appliance.conf"
    lease_event(pc, "bound", ntpsrv="")
    assert not file.exists()
    line = (pc / "proc/cmdline").read_text()
    (pc / "proc/cmdline").write_text(f"netboot_appliance.ntp=10.77.0.8,10.77.0.2,10.77.0.9 {line}")
    lease_event(pc, "bound", ntpsrv="10.77.0.2 10.77.0.3 x.example $(x) [Time]")
    assert file.read_text() == "[Time]\nNTP=10.77.0.2 10.77.0.3 10.77.0.8 10.77.0.9\n"
    asked = pc / "bin/systemctl.asked"
    assert asked.read_text() == "--no-block try-restart systemd-timesyncd.service\n"
    # A renewal that says the same again restarts nothing.
    lease_event(pc, "renew", ntpsrv="10.77.0.2 10.77.0.3")
    assert asked.read_text().count("\n") == 1
    lease_event(pc, "renew", ntpsrv="")
    assert file.read_text() == "[Time]\nNTP=10.77.0.8 10.77.0.2 10.77.0.9\n"
    assert asked.read_text().count("\n") == 2


def test_a_lease_of_another_address_changes_nothing_and_is_told(pc: Path) -> None:
    """The root hangs on the first address, and is exported to it."""
    assert lease_event(pc, "bound", ip="10.77.0.150", mtu="1400", ntpsrv="10.77.0.2", search="x") == []
    assert not (pc / "etc/resolv.conf").exists()
    assert not (pc / "run/systemd").exists()
    assert "gave the address 10.77.0.150; keeping 10.77.0.101" in (pc / "dev/tty0").read_text()


def test_a_pc_without_an_address_takes_that_of_the_lease(pc: Path) -> None:
    assert lease_event(pc, "bound", HELD="", router="")[0] == "ip address add 10.77.0.101/24 brd + dev eth9"


def test_only_answers_with_the_address_that_the_pc_has_reach_udhcpc(pc: Path) -> None:
    assert lease_event(pc, "deconfig") == []
    assert rules(pc)[:2] == ["table netdev netboot_lease", "delete table netdev netboot_lease"]
    assert "udp sport 67 udp dport 68 @th,192,32 != 0 @th,192,32 != 0x0a4d0065 drop" in rules(pc)
    lease_event(pc, "deconfig", HELD="")
    assert rules(pc) == ["table netdev netboot_lease", "delete table netdev netboot_lease"]


def test_a_refused_renewal_takes_nothing_away_and_is_told(pc: Path) -> None:
    assert lease_event(pc, "nak") == lease_event(pc, "leasefail") == []
    assert "refuses to renew the address 10.77.0.101; keeping it" in (pc / "dev/tty0").read_text()


def rules(pc: Path) -> list[str]:
    """What the kernel would get, without comments and indentation."""
    text = (pc / "bin/nft.rules").read_text()
    return [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]


def test_a_lease_with_other_name_servers_opens_those(pc: Path) -> None:
    (pc / "etc/resolv.conf").write_text("nameserver 10.77.0.2\n")
    lease_event(pc, "renew", dns="192.0.2.9")
    assert "add element inet netboot_appliance resolvers { 192.0.2.9,  }" in rules(pc)


def test_boinc_reaches_what_the_command_line_opens_and_nothing_else_of_the_local_network(pc: Path) -> None:
    line = (pc / "proc/cmdline").read_text()
    (pc / "proc/cmdline").write_text(f"netboot_appliance.network=internet,10.77.0.3,10.9.0.0/16 {line}")
    (pc / "etc/resolv.conf").write_text("search site.example\nnameserver 10.77.0.2\nnameserver fe80::1\n")
    done = start(pc, f"{pc}/scripts/network")
    assert (done.returncode, done.stderr) == (0, "")
    assert rules(pc)[-3:] == [
        "add element inet netboot_appliance lan { 0.0.0.0/8, 10.0.0.0/8, 100.64.0.0/10, 169.254.0.0/16, 172.16.0.0/12, "
        "192.168.0.0/16, 224.0.0.0/3, 127.0.0.1, 192.0.2.0/25, 10.77.0.0/24,  }",
        "add element inet netboot_appliance opened { 10.77.0.3, 10.9.0.0/16,  }",
        "add element inet netboot_appliance resolvers { 10.77.0.2,  }",
    ]


def test_all_removes_the_rules(pc: Path) -> None:
    (pc / "proc/cmdline").write_text("netboot_appliance.network=all " + (pc / "proc/cmdline").read_text())
    assert start(pc, f"{pc}/scripts/network").returncode == 0
    assert rules(pc) == ["table inet netboot_appliance", "delete table inet netboot_appliance"]


def test_a_box_that_says_nothing_of_the_network_opens_nothing(pc: Path) -> None:
    (pc / "etc/resolv.conf").write_text("")
    assert start(pc, f"{pc}/scripts/network").returncode == 0
    assert rules(pc)[-1].startswith("add element inet netboot_appliance lan {")


TOKEN = "fresh-token_0123456789ab"


def test_the_token_of_the_command_line_is_exchanged_for_one_that_only_root_reads(pc: Path, box: Box) -> None:
    box.exchanges = [503, 0, TOKEN]
    done = start(pc, f"{pc}/scripts/exchange")
    assert done.returncode == 0, done.stderr
    assert box.asked == [("/boot/525400aabbcc/T0ken-1_x/exchange", "")] * 3
    file = pc / "run/netboot-appliance/token"
    assert (file.read_text().strip(), file.stat().st_mode & 0o777) == (TOKEN, 0o600)
    box.asked.clear()
    start(pc, f"{pc}/scripts/report", "reported")
    assert box.asked == [(f"/boot/525400aabbcc/{TOKEN}/report", "stage=reported&uptime=12.34")]


def clock(pc: Path) -> str:
    """What the clock was set to; empty if it was not."""
    file = pc / "bin/date.set"
    return file.read_text() if file.exists() else ""


def test_the_date_of_the_answer_sets_a_clock_whose_battery_is_empty(pc: Path, box: Box) -> None:
    box.exchanges = [TOKEN]
    before = int(time.time())
    done = start(pc, f"{pc}/scripts/exchange", CLOCK="946684800")
    assert done.returncode == 0, done.stderr
    (seconds,) = re.findall(r"^-u -s @(\d+)$", clock(pc), re.MULTILINE)
    assert before <= int(seconds) <= time.time()
    assert f"the clock was {946684800 - int(seconds)} seconds ahead of the server's: set" in done.stdout


SERVER = 1_800_000_000
"""What the server's clock says in the tests below."""


@pytest.mark.parametrize(
    ("here", "said", "becomes"),
    [
        (SERVER - 366 * 86400, SERVER, f"-u -s @{SERVER}\n"),
        (SERVER + 366 * 86400, SERVER, f"-u -s @{SERVER}\n"),
        (SERVER + 5, SERVER, ""),
        (SERVER - 5, SERVER, ""),
        (BUILT + 9, BUILT - 1, ""),
        (SERVER, "", ""),
        (SERVER, "$(touch x)", ""),
        (SERVER, "18000000000", ""),
        (SERVER, "01800", ""),
        (SERVER, "-1", ""),
    ],
)
def test_only_a_clock_that_is_off_is_set_and_only_to_a_time_that_can_be_right(
    pc: Path, here: int, said: object, becomes: str
) -> None:
    done = start(pc, "sh", "-euc", f". {pc}/scripts/boot.sh; set_clock '{said}'", CLOCK=str(here))
    assert (done.returncode, done.stderr, clock(pc)) == (0, "", becomes)


def test_a_clock_that_an_ntp_server_has_set_stays(pc: Path) -> None:
    (pc / "run/systemd/timesync").mkdir(parents=True)
    (pc / "run/systemd/timesync/synchronized").touch()
    assert start(pc, "sh", "-euc", f". {pc}/scripts/boot.sh; set_clock {SERVER}", CLOCK="1").returncode == 0
    assert clock(pc) == ""


@pytest.mark.parametrize("script", ["exchange", "report", "boinc-files"])
def test_no_request_goes_through_the_proxy_that_boinc_may_be_given(pc: Path, box: Box, script: str) -> None:
    box.exchanges, box.files = [TOKEN], archive({"gui_rpc_auth.cfg": "new"})
    # Nothing listens there, and curl, like busybox wget, asks it first.
    done = start(pc, f"{pc}/scripts/{script}", "reported", http_proxy="http://127.0.0.1:1")
    assert done.returncode == 0, done.stderr
    assert len(box.asked) == (2 if script == "boinc-files" else 1)


@pytest.mark.parametrize("number", [403, 404])
def test_the_old_token_stays_if_the_server_exchanges_none(pc: Path, box: Box, number: int) -> None:
    box.exchanges = [number]
    assert start(pc, f"{pc}/scripts/exchange").returncode == 0
    assert functions(pc, 'echo "$BOX"').endswith("/T0ken-1_x")


def test_what_is_no_token_is_asked_for_again(pc: Path, box: Box) -> None:
    box.exchanges = ["", "short", "with a space in it here", TOKEN]
    assert start(pc, f"{pc}/scripts/exchange").returncode == 0
    assert functions(pc, 'echo "$BOX"').endswith(f"/{TOKEN}")


def test_the_boinc_files_are_put_into_place_by_the_user_boinc(pc: Path, box: Box) -> None:
    """A link that a science application left in the state directory leads root nowhere."""
    box.files = archive({"gui_rpc_auth.cfg": "new"})
    place = pc / "scripts/place-boinc-files"
    place.write_text(f'#!/bin/sh\necho "$AS" > {pc}/placed\ncat > /dev/null\n')
    assert start(pc, f"{pc}/scripts/boinc-files").returncode == 0
    assert (pc / "placed").read_text() == "--reuid=boinc\n"
