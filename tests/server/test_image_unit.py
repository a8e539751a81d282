"""Building images by systemd, on a server whose Debian mirror is out of reach or never answers."""

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.server.container import Container
from tests.server.suites import ON_DEBIAN_13

pytestmark = ON_DEBIAN_13

UNIT = "netboot-appliance-image"
SOURCES = "/etc/apt/sources.list"
BUILD = "netboot-appliance image build"
# Accepts connections and never answers.
MUTE = "import socket, time; s = socket.create_server(('127.0.0.1', 8099)); time.sleep(3600)"
# Runs `image build` in a terminal, with output in /root/seen; standard input is typed there.
TERMINAL = f"script --quiet --flush --return --command '{BUILD}' /root/seen"
CTRL_C = "(until grep -q '3/8 bootstrap' /root/seen; do sleep 0.2; done; printf '\\003'; sleep 3)"
# A second caller, who follows the build when an administrator stops it.
STOPPED = f"""
{BUILD} 2>/root/followed & caller=$!
until grep -q '3/8 bootstrap' /root/followed; do sleep 0.2; kill -0 $caller || exit 99; done
systemctl stop {UNIT}
wait $caller; code=$?
cat /root/followed >&2
exit $code
"""
# A terminal that is closed, as sshd does when the connection is lost.
HANG_UP = """
import os, pty
pid, terminal = pty.fork()
if not pid:
    os.execlp("netboot-appliance", "netboot-appliance", "image", "build")
seen = b""
while b"3/8 bootstrap" not in seen:
    seen += os.read(terminal, 4096)
os.close(terminal)
os.waitpid(pid, 0)
"""
SHOWN = ("1/8 checks", "2/8 config", "3/8 bootstrap")


@pytest.fixture
def server(installed: Container) -> Iterator[Container]:
    installed.run(f"rm -f /root/seen /root/followed /run/{UNIT}/*; rm -rf /etc/apt/sources.list.d/*")
    yield installed
    installed.run(f"systemctl stop {UNIT} mute; systemctl reset-failed {UNIT}", check=False)


def point_at(server: Container, archive: str) -> None:
    suite = server.run('. /etc/os-release; echo "$VERSION_CODENAME"').stdout.strip()
    lines = (f"deb {archive} {suite} main", f"deb {archive} {suite}-security main")
    server.run(["sh", "-c", f'printf "%s\\n" "$@" >{SOURCES}', "sh", *lines])


def silent_mirror(server: Container) -> None:
    server.run(["systemd-run", "--quiet", "--unit=mute", "python3", "-c", MUTE])
    server.wait("ss -Hltn | grep -q 127.0.0.1:8099", 120)
    point_at(server, "http://127.0.0.1:8099/debian")


def call(server: Container, line: str) -> "subprocess.CompletedProcess[str]":
    return server.run(["env", "--chdir=/", "sh", "-c", line], check=False, timeout=600)


def state(server: Container) -> dict[str, str]:
    names = "ActiveState,Result,InvocationID,ExecMainStatus"
    lines = server.run(f"systemctl show --property={names} {UNIT}").stdout.splitlines()
    return dict(line.partition("=")[::2] for line in lines)


def processes(server: Container, pattern: str) -> list[str]:
    """The matching command lines; without a shell, whose own line would match."""
    return server.run(["pgrep", "--list-full", "--full", pattern], check=False).stdout.splitlines()


def test_a_build_that_fails_says_so_in_the_terminal_and_in_the_journal(server: Container) -> None:
    point_at(server, "http://mirror.invalid/debian")
    said = call(server, BUILD)
    assert said.returncode == 1
    for words in (*SHOWN, "error: the build failed in the stage bootstrap", "the failed command: cd /var/lib/netboot"):
        assert words in said.stderr
    assert "hint: the Debian mirror cannot be reached" in said.stderr
    log = next(line.split()[-1] for line in said.stderr.splitlines() if line.startswith("the whole log: "))
    assert "$ lb bootstrap" in server.path(log).read_text()
    found = state(server)
    assert (found["ActiveState"], found["Result"], found["ExecMainStatus"]) == ("failed", "exit-code", "1")
    status = call(server, f"journalctl --sync; systemctl status --no-pager --lines=40 {UNIT}").stdout
    for line in said.stderr.splitlines():
        assert line.strip() in status


def test_a_terminal_shows_the_progress_line(server: Container) -> None:
    point_at(server, "http://mirror.invalid/debian")
    said = call(server, TERMINAL)
    assert said.returncode == 1
    seen = server.path("/root/seen").read_text()
    for words in (*SHOWN, "⠋", "\x1b[2K", "error: the build failed in the stage bootstrap"):
        assert words in seen


def test_ctrl_c_leaves_the_build_running_and_the_same_command_follows_it_again(server: Container) -> None:
    silent_mirror(server)
    left = call(server, f"{CTRL_C} | {TERMINAL}")
    assert left.returncode == 130
    for words in (f"the build continues in {UNIT}.service", "follow it again: netboot-appliance image build"):
        assert words in left.stdout
    assert f"stop it: systemctl stop {UNIT}" in left.stdout
    before = state(server)
    assert before["ActiveState"] == "activating"
    server.wait(f"systemctl status --no-pager {UNIT} | grep -q debootstrap", 120)

    back = call(server, STOPPED)
    assert back.returncode == 1
    for words in (f"a build is running ({UNIT}.service): following it", *SHOWN, "error: the build was stopped"):
        assert words in back.stderr
    after = state(server)
    assert after["InvocationID"] in (before["InvocationID"], "")
    assert (after["ActiveState"], after["Result"]) == ("inactive", "success")
    assert processes(server, "lb bootstrap|debootstrap|live-build") == []
    assert "/var/lib/netboot-appliance" not in server.run("cat /proc/mounts").stdout
    assert json.loads(server.run("netboot-appliance image list --json").stdout) == []


def test_a_lost_connection_does_not_end_the_build(server: Container) -> None:
    silent_mirror(server)
    server.run(["python3", "-c", HANG_UP])
    assert state(server)["ActiveState"] == "activating"
    assert processes(server, f"{BUILD}$") == []


def test_another_configuration_is_built_without_the_unit(server: Container) -> None:
    point_at(server, "http://mirror.invalid/debian")
    server.run(
        "sed 's/^\\[server\\]/&\\ndata = \"\\/srv\\/other\"/' /etc/netboot-appliance/config.toml >/root/other.toml"
    )
    before = state(server)["InvocationID"]
    said = call(server, "netboot-appliance --config /root/other.toml image build")
    assert said.returncode == 1
    assert "cd /srv/other/build/live" in said.stderr
    assert state(server)["InvocationID"] == before


def test_the_timer_is_there_and_off(server: Container) -> None:
    assert call(server, "systemctl is-enabled netboot-appliance-rebuild.timer").stdout == "disabled\n"
    server.run("systemctl enable --now netboot-appliance-rebuild.timer")
    timers: list[dict[str, Any]] = json.loads(server.run("systemctl list-timers --all --output=json").stdout)
    assert "netboot-appliance-rebuild.timer" in [each["unit"] for each in timers]
    server.run("systemctl disable --now netboot-appliance-rebuild.timer")


def test_a_rebuild_uses_the_unit_and_fails_with_it(server: Container) -> None:
    point_at(server, "http://mirror.invalid/debian")
    assert call(server, "systemctl start netboot-appliance-rebuild").returncode == 1
    said = server.said("netboot-appliance-rebuild")
    assert "3/8 bootstrap" in said
    assert "error: the build failed in the stage bootstrap" in said
    server.run("systemctl reset-failed netboot-appliance-rebuild")


@pytest.mark.parametrize("unit", ["image.service", "rebuild.service", "rebuild.timer"])
def test_systemd_finds_nothing_wrong_with_the_units(server: Container, unit: str) -> None:
    said = call(server, f"systemd-analyze verify --man=no /lib/systemd/system/netboot-appliance-{unit}")
    assert (said.returncode, said.stderr) == (0, "")
