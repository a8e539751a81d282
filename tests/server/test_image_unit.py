"""Building images by systemd, on a server whose Debian mirror is out of reach or slow without end: by the verb, and by
the page, for which root's helper judges each request.
"""

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from appliance.images.image_request import ImageRequest, ImageVerb, encode
from tests.room.processes import wait_until
from tests.server.container import Container
from tests.server.page import Administrator
from tests.server.program import DATA, active
from tests.server.suites import ON_DEBIAN_13
from tests.unit.image.test_release import NEW, OLD, publish

pytestmark = ON_DEBIAN_13

UNIT = "netboot-appliance-image"
SOURCES = "/etc/apt/sources.list"
BUILD = "netboot-appliance image build"
# Sends a byte a second, and never ends: a build waits for it, where one that is silent is given up.
SLOW = """
import socket, time
server = socket.create_server(("127.0.0.1", 8099))
while True:
    client, _ = server.accept()
    try:
        client.sendall(b"HTTP/1.1 200 OK\\r\\n\\r\\n")
        while True:
            client.sendall(b"x")
            time.sleep(1)
    except OSError:
        client.close()
"""
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
HELPER = "netboot-appliance-image-request"
MOST_EXPOSED = 2.0
REQUEST = "/run/netboot-appliance-control/image.json"
# As the control process, taken over, could do it: by its user, in its directory.
AS_CONTROL = "setpriv --reuid=netboot-appliance --regid=netboot-appliance --clear-groups"
TRAPS = {
    "link to root's file": f"ln -s /root/honest {REQUEST}",
    "link to itself": f"ln -s {REQUEST} {REQUEST}",
    "pipe": f"mkfifo {REQUEST}",
    "folder": f"mkdir {REQUEST}",
    "endless": f"truncate -s 1T {REQUEST}",
    "somebody else's": f"install -m 644 -o nobody /root/honest {REQUEST}",
    "no JSON": f"printf '[[[[' >{REQUEST}",
    "a path": f"""sed 's/""/"..\\/..\\/etc"/' /root/honest >{REQUEST}""",
    "another field": f"""sed 's/}}/, "path": "\\/etc"}}/' /root/honest >{REQUEST}""",
}
SHOWN = ("1/8 checks", "2/8 config", "3/8 bootstrap")


@pytest.fixture
def server(installed: Container) -> Iterator[Container]:
    installed.run(f"rm -f /root/seen /root/followed /run/{UNIT}/*; rm -rf /etc/apt/sources.list.d/*")
    yield installed
    installed.run(f"systemctl stop {UNIT} slow; systemctl reset-failed {UNIT}", check=False)


def point_at(server: Container, archive: str) -> None:
    suite = server.run('. /etc/os-release; echo "$VERSION_CODENAME"').stdout.strip()
    lines = (f"deb {archive} {suite} main", f"deb {archive} {suite}-security main")
    server.run(["sh", "-c", f'printf "%s\\n" "$@" >{SOURCES}', "sh", *lines])


def slow_mirror(server: Container) -> None:
    server.run(["systemd-run", "--quiet", "--unit=slow", "python3", "-c", SLOW])
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
    assert "mirror.invalid, cannot be resolved" in said.stderr
    assert "hint: check the name servers" in said.stderr
    log = next(line.split()[-1] for line in said.stderr.splitlines() if line.startswith("the whole log: "))
    assert "lb bootstrap" in server.path(log).read_text()
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
    slow_mirror(server)
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
    slow_mirror(server)
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
    assert "build: bootstrap:" in said
    assert "error: stopped at the stage build: the build failed in the stage bootstrap" in said
    server.run("systemctl reset-failed netboot-appliance-rebuild")


@pytest.mark.parametrize("unit", ["image.service", "rebuild.service", "rebuild.timer"])
def test_systemd_finds_nothing_wrong_with_the_units(server: Container, unit: str) -> None:
    said = call(server, f"systemd-analyze verify --man=no /lib/systemd/system/netboot-appliance-{unit}")
    assert (said.returncode, said.stderr) == (0, "")


@pytest.fixture(scope="module")
def page(installed: Container) -> Iterator[Administrator]:
    """An administrator at the page of a server with two releases; the newer one is active."""
    for each in (OLD, NEW):
        publish(installed.path(f"{DATA}/images"), each)
        installed.run(["netboot-appliance", "image", "activate", each])
    yield Administrator(installed)
    installed.run(f"rm -rf {DATA}/images/*")


def current(server: Container) -> str:
    return server.run(f"readlink {DATA}/images/current").stdout.strip()


def test_roots_helper_is_ready_and_can_do_less_than_root(server: Container, capsys: pytest.CaptureFixture[str]) -> None:
    assert active(server, f"{HELPER}.path") == "active"
    assert server.run(f"systemctl is-enabled {HELPER}.path").stdout == "enabled\n"
    last = server.run(f"systemd-analyze --no-pager security {HELPER}.service").stdout.splitlines()[-1]
    figure = float(last.partition(": ")[2].split()[0])
    with capsys.disabled():
        print(f"\nexposure of {HELPER}.service: {figure} (at most {MOST_EXPOSED})")
    assert figure <= MOST_EXPOSED


def test_the_page_activates_a_release_and_rolls_back(server: Container, page: Administrator) -> None:
    assert current(server) == NEW
    assert f"active: {OLD}" in page.asks("activate", OLD)
    assert current(server) == OLD
    assert f"active: {NEW}" in page.asks("rollback")
    assert current(server) == NEW
    assert "there is no release '20260101-000000-00000000'" in page.asks("activate", "20260101-000000-00000000")
    # Without scripts, and without the secret of the form.
    form = {"verb": "activate", "release": OLD}
    assert page.visitor.ask("POST", "/images", form).status == 403
    assert current(server) == NEW
    assert page.visitor.ask("POST", "/images", form | {"csrf": page.secret}).status == 303
    assert current(server) == OLD
    page.asks("activate", NEW)


def test_a_build_is_begun_followed_and_stopped_by_the_page(server: Container, page: Administrator) -> None:
    slow_mirror(server)
    # This recipe was not built yet: the releases here are of another one.
    assert "the build has begun" in page.asks("build")
    wait_until(lambda: "Stage 3 of 8: bootstrap" in page.images(), 120, "the build to wait for the mirror")
    assert state(server)["ActiveState"] == "activating"
    assert "a build is under way already" in page.asks("update")
    run = server.run(f"systemctl show --property=InvocationID --value {UNIT}").stdout.strip()
    told = page.visitor.follow(f"/images/live?since={run}.1.0", "lb bootstrap")
    assert "event: stage\ndata: Stage 3 of 8: bootstrap" in told
    assert "event: lines\ndata: <span>" in told
    # It is told by a copy: the log itself is root's.
    logs = f"{DATA}/build/logs"
    assert server.run(f"{AS_CONTROL} ls {logs}", check=False).returncode != 0
    assert "lb bootstrap" in server.run("netboot-appliance image log").stdout

    assert "the build is being stopped" in page.asks("stop")
    wait_until(lambda: "The latest build made no release" in page.images(), 120, "the page to say how it ended")
    assert "the build was stopped build again: netboot-appliance image build" in page.images()
    server.wait(f"systemctl show --property=ActiveState {UNIT} | grep -q =inactive", 120)
    assert processes(server, "lb bootstrap|debootstrap|live-build") == []
    assert current(server) == NEW
    ended = server.run("netboot-appliance image log", check=False)
    assert (ended.returncode, "error: the build was stopped" in ended.stderr) == (1, True)


@pytest.mark.parametrize("trap", TRAPS)
def test_a_request_of_nobody_honest_changes_nothing(server: Container, page: Administrator, trap: str) -> None:
    honest = encode(ImageRequest(ImageVerb.ROLLBACK)).decode()
    server.run(["sh", "-c", 'printf %s "$1" >/root/honest; chmod 711 /root', "sh", honest])

    def refused() -> int:
        return server.said(f"{HELPER}.service").count("the page's request is refused: ")

    before = refused()
    server.run(f"{AS_CONTROL} rm -rf {REQUEST}")
    server.run(
        ["sh", "-c", TRAPS[trap]] if trap == "somebody else's" else [*AS_CONTROL.split(), "sh", "-c", TRAPS[trap]]
    )
    wait_until(lambda: refused() > before, 120, "root's helper to refuse it")
    assert current(server) == NEW
    # Nor does it keep the next honest one from being carried out.
    server.run(f"{AS_CONTROL} rm -rf {REQUEST}")
    assert f"active: {OLD}" in page.asks("rollback")
    assert f"active: {NEW}" in page.asks("rollback")
