"""`image mount` and `image shell` by a real kernel: layers as overlayfs has them, and nothing left behind."""

import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from image import release
from tests.unit.appliance.cli.program import ENVIRONMENT, PROGRAM
from tests.unit.image.layers import WHITEOUT, File, directory, link, publish_layers
from tests.unit.image.test_release import NEW, OLD

PROGRAMS = ("bash", "cat", "ls", "mount", "setpriv", "sleep")
UPPER = {
    "etc/hostname": File(b"upper", 0o600, owner=(1, 2)),
    "etc/gone": WHITEOUT,
    "opt": directory(0o711, opaque=True),
    "opt/new": File(b"upper"),
    "srv/kept": link("/etc"),
}
SECRET = Path(f"/var/tmp/netboot-appliance-test-secret-{os.getpid()}")


def base() -> dict[str, File]:
    """A live system just large enough for a shell: programs of this machine."""
    files = {
        "etc/hostname": File(b"base"),
        "etc/gone": File(b"base"),
        "etc/resolv.conf": link("/run/none"),
        "opt/old": File(b"base"),
        "dev/null": File(kind=tarfile.CHRTYPE, device=(1, 3)),
        **{name: directory() for name in ("mnt", "proc", "root", "run", "sys", "tmp", "var/tmp")},
    }
    for program in PROGRAMS:
        path = shutil.which(program, path="/usr/bin:/bin")
        assert path
        files[f"usr/bin/{program}"] = File(Path(path).read_bytes(), 0o755)
        libraries = subprocess.run(["ldd", path], capture_output=True, text=True, check=True).stdout
        for library in re.findall(r"(/\S+) \(0x", libraries):
            files[library.strip("/")] = File(Path(library).read_bytes(), 0o755)
    return files | {"bin": link("usr/bin")}


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The configuration of a box with a release of one layer, and one of two, which is active."""
    data = tmp_path_factory.mktemp("box")
    below = base()
    publish_layers(data / "images", OLD, below)
    publish_layers(data / "images", NEW, below, UPPER)
    for each in (OLD, NEW):
        release.activate(data / "images", each)
    (data / "c.toml").write_text(f'[server]\ninterfaces = ["lo"]\ndata = "{data}"\n')
    return data / "c.toml"


def command(box: Path, *arguments: str) -> list[str]:
    return [str(PROGRAM), "--config", str(box), "image", *arguments]


def run(box: Path, *arguments: str, script: str = "", cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
    words = command(box, *arguments)
    return subprocess.run(
        words,
        input=script,
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        check=False,
        timeout=60,
        cwd=cwd,
        umask=0o077,
    )


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def loops(box: Path) -> list[str]:
    """The loop devices of this box's layers."""
    listed = subprocess.run(["losetup", "--noheadings", "-O", "BACK-FILE"], capture_output=True, text=True, check=True)
    return [line for line in listed.stdout.splitlines() if line.startswith(str(box.parent))]


def test_a_mounted_live_system_is_what_ls_lists(box: Path, tmp_path: Path) -> None:
    where = tmp_path / "a place"
    done = run(box, "mount", NEW, str(where))
    assert done.stdout == f"mounted: {where}\nundo it: sudo umount '{where}'\n"
    try:
        again = run(box, "mount", NEW, str(where))
        assert (again.returncode, "something is mounted there" in again.stderr) == (2, True)
        listed = {each["path"]: each for each in json.loads(run(box, "ls", "-R", "--json").stdout)}
        real = {f"/{path.relative_to(where)}": path.lstat() for path in where.rglob("*")}
        assert real.keys() == listed.keys()
        for path, found in real.items():
            each = listed[path]
            assert (found.st_uid, found.st_gid, int(found.st_mtime)) == (each["uid"], each["gid"], when(each))
            assert each["kind"] == "directory" or found.st_size == each["size"]
        assert (where / "opt").stat().st_mode & 0o777 == 0o711
        with pytest.raises(OSError, match="Read-only"):
            (where / "x").touch()
    finally:
        subprocess.run(["umount", where], check=True)
    wait_for(lambda: not loops(box))
    assert str(where) not in Path("/proc/mounts").read_text().replace("\\040", " ")
    assert list(Path("/run").glob("netboot-appliance-mount-*")) == []


def when(listed: dict[str, str]) -> int:
    return int(subprocess.run(["date", "-d", listed["modified"], "+%s"], capture_output=True, check=True).stdout)


def test_nothing_of_a_shell_is_kept_and_it_sees_nothing_of_this_machine(box: Path, tmp_path: Path) -> None:
    (tmp_path / "image").mkdir()
    (tmp_path / "image" / "throwaway.py").write_text("raise SystemExit('somebody else got root')")
    SECRET.write_text("secret")
    try:
        script = f"""
            cat /etc/hostname /proc/sys/kernel/hostname
            echo changed > /etc/hostname && cat /etc/hostname
            [ -e {SECRET} ] || echo no secret
            ls /sys/class/net
            for place in / /dev/shm; do read -r mode _ < <(ls -ld $place); echo $mode; done
            mount -t tmpfs none /mnt 2>/dev/null || echo no mounts
            (echo 1 > /proc/sys/vm/drop_caches) 2>/dev/null || echo no settings
            set -- /proc/[0-9]*; echo "$#: $1"
            exit 7
        """
        for _ in range(2):
            done = run(box, "shell", script=script, cwd=tmp_path)
            assert done.stdout.split("\n") == [
                f"upper{NEW}",
                "changed",
                "no secret",
                "lo",
                "drwxr-xr-x",
                "drwxrwxrwt",
                "no mounts",
                "no settings",
                "1: /proc/1",
                "",
            ]
            assert (done.returncode, done.stderr) == (7, "")
    finally:
        SECRET.unlink()
    wait_for(lambda: not loops(box))
    assert "netboot-appliance-shell" not in Path("/proc/mounts").read_text()
    assert list(Path("/run/netboot-appliance-shell").iterdir()) == []


def test_the_network_of_this_machine_only_if_it_is_wanted(box: Path) -> None:
    ours = sorted(os.listdir("/sys/class/net"))
    done = run(box, "shell", OLD, "--network", script="ls /sys/class/net; cat /etc/resolv.conf")
    assert done.stdout == "".join(f"{name}\n" for name in ours) + Path("/etc/resolv.conf").read_text()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_a_shell_that_is_killed_takes_everything_with_it(box: Path, number: signal.Signals) -> None:
    with subprocess.Popen(
        command(box, "shell"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=ENVIRONMENT, text=True
    ) as shell:
        assert shell.stdin
        assert shell.stdout
        shell.stdin.write("sleep 1000 & echo ready; cat /dev/zero > /dev/null\n")
        shell.stdin.flush()
        assert shell.stdout.readline() == "ready\n"
        assert loops(box)
        shell.send_signal(number)
        # Its end is read once nobody holds the pipe any more: all its programs are gone.
        assert shell.stdout.read() == ""
    wait_for(lambda: not loops(box))


def test_the_terminal_belongs_to_the_shell(box: Path) -> None:
    """Ctrl-C ends what the shell runs, not the shell; and the shell ends with `exit`."""
    child, terminal = pty.fork()
    if child == 0:
        os.execve(PROGRAM, command(box, "shell"), ENVIRONMENT | {"TERM": "dumb"})
    told = b""

    def expect(words: bytes) -> None:
        nonlocal told
        while words not in told:
            assert select.select([terminal], [], [], 30)[0], told
            told += os.read(terminal, 10_000)
        told = told.partition(words)[2]

    expect(f"a copy of {NEW}: nothing that you change is kept".encode())
    expect(b"# ")
    os.write(terminal, b"echo $((40 + 2)); sleep 1000\n")
    expect(b"\n42\r\n")
    wait_for(lambda: b"sleep\x001000" in commands())
    os.write(terminal, b"\x03")
    expect(b"# ")
    os.write(terminal, b"exit 3\n")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
    os.close(terminal)


def commands() -> bytes:
    """The command lines of all processes."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(path.read_bytes())
        except OSError:
            continue
    return b"\n".join(lines)


def test_where_nothing_can_be_mounted_it_says_so(box: Path, tmp_path: Path) -> None:
    """Root without CAP_SYS_ADMIN, as in most containers."""
    where = tmp_path / "x"
    for arguments in (("mount", NEW, str(where)), ("shell",)):
        words = ["setpriv", "--bounding-set", "-sys_admin", *command(box, *arguments)]
        done = subprocess.run(words, input="", capture_output=True, text=True, env=ENVIRONMENT, check=False)
        assert done.returncode == 1
        assert f"error: the live system of {NEW} cannot be mounted: " in done.stderr
        assert "image ls, image cat and image diff need no mount" in done.stderr
    assert list(where.iterdir()) == []
    broken = box.parent / "images" / OLD / release.SQUASHFS
    content = broken.read_bytes()
    broken.write_bytes(bytes(len(content)))
    done = run(box, "shell", OLD)
    broken.write_bytes(content)
    assert f"error: the live system of {OLD} cannot be mounted: mount: " in done.stderr
    assert done.returncode == 1
    assert not loops(box)
