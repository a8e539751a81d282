"""The daemon under real systemd: its sandbox, its reload, and how it restarts after any kind of end."""

from collections.abc import Iterator

import pytest

from services.ethernet import MacAddress
from services.ipv6 import no_router
from tests.netns.ipv6_ear import Ipv6Ear
from tests.room.processes import wait_until
from tests.server.container import Container
from tests.server.program import CONFIGURATION, DATA, HOME, active, allowed, bound, process

UNIT = "netboot-appliance"
PAGE = "netboot-appliance-control"
MOST_EXPOSED = 2.0
ONE_CAPABILITY = f"{1 << 10:016x}"  # CAP_NET_BIND_SERVICE
DROP_IN = f"/run/systemd/system/{UNIT}.service.d/test.conf"
PORTS = {"67", "69", "80", "4011"}
SECONDS = 120.0
WATCHDOG = 5
CAP_NET_RAW = f"{1 << 13:016x}"
TELL = """
import logging, sys
from pathlib import Path
from services.ethernet import MacAddress
from services.ipv6.sending import NoRouterSender

logging.basicConfig(level="INFO", stream=sys.stdout, format="%(error)s")
NoRouterSender(Path("/run/netboot-appliance-no-router")).tell("lan0", MacAddress.parse(sys.argv[1]))
"""
HOLD = "import socket, time; s = socket.socket(2, 2); s.bind(('10.77.0.1', 69)); time.sleep(600)"


@pytest.fixture
def server(installed: Container) -> Iterator[Container]:
    """The server, running with its original configuration before each test."""
    installed.run(f"systemctl reset-failed {UNIT}; systemctl start {UNIT}; cp -a {CONFIGURATION} /root/before.toml")
    yield installed
    installed.run(f"cp -a /root/before.toml {CONFIGURATION}; rm -rf {DROP_IN}; systemctl daemon-reload")


def shown(server: Container, name: str) -> str:
    return server.run(["systemctl", "show", "--value", f"--property={name}", UNIT]).stdout.strip()


def await_another(server: Container, before: str, unit: str = UNIT) -> None:
    """Wait until systemd has restarted the server, or the page."""

    def started() -> bool:
        # In one query: between two, the old process may still be active and the new one not yet.
        lines = server.run(["systemctl", "show", "--property=ActiveState,MainPID", unit]).stdout.splitlines()
        found = dict(line.split("=", 1) for line in lines)
        return found["ActiveState"] == "active" and found["MainPID"] not in ("0", before)

    wait_until(started, SECONDS, "systemd to start the server again", 0.2)


def test_it_is_sandboxed_and_still_has_its_ports(server: Container, capsys: pytest.CaptureFixture[str]) -> None:
    last = server.run(["systemd-analyze", "--no-pager", "security", f"{UNIT}.service"]).stdout.splitlines()[-1]
    figure = float(last.partition(": ")[2].split()[0])
    with capsys.disabled():
        print(f"\nexposure of the running {UNIT}.service: {figure} (at most {MOST_EXPOSED})")
    assert figure <= MOST_EXPOSED
    status = server.run(f"cat /proc/{process(server)}/status").stdout.splitlines()
    fields = dict(line.split(":\t", 1) for line in status)
    assert {fields[name] for name in ("CapEff", "CapPrm", "CapBnd", "CapAmb")} == {ONE_CAPABILITY}
    assert fields["NoNewPrivs"] == "1"
    assert fields["Seccomp"] == "2"
    assert fields["Uid"].split() == [server.run(["id", "--user", UNIT]).stdout.strip()] * 4
    assert bound(server) >= PORTS


def test_the_page_may_do_less_than_the_server_and_neither_needs_the_other(
    server: Container, capsys: pytest.CaptureFixture[str]
) -> None:
    def pid() -> str:
        return server.run(f"systemctl show --property=MainPID --value {PAGE}").stdout.strip()

    last = server.run(["systemd-analyze", "--no-pager", "security", f"{PAGE}.service"]).stdout.splitlines()[-1]
    figure = float(last.partition(": ")[2].split()[0])
    with capsys.disabled():
        print(f"\nexposure of the running {PAGE}.service: {figure} (at most {MOST_EXPOSED})")
    assert figure <= MOST_EXPOSED
    fields = dict(line.split(":\t", 1) for line in server.run(f"cat /proc/{pid()}/status").stdout.splitlines())
    assert {fields[name] for name in ("CapEff", "CapPrm", "CapBnd", "CapAmb")} == {"0" * 16}
    assert (fields["NoNewPrivs"], fields["Seccomp"]) == ("1", "2")

    # In its sandbox: what its user owns outside of that is out of reach, through the server's process, too.
    taken_over = f"nsenter --target {pid()} --mount setpriv --reuid={UNIT} --regid={UNIT} --clear-groups"
    through = f"/proc/{process(server)}/root{DATA}/boot"
    for directory in (through, f"{DATA}/images", f"{DATA}/state", f"/run/{UNIT}-exports", "/etc/netboot-appliance"):
        assert server.run(f"{taken_over} touch {directory}/planted", check=False).returncode != 0, directory
    for directory in (f"{DATA}/boot", f"/run/{UNIT}", "/run"):
        refused = server.run(f"{taken_over} touch {directory}/planted", check=False)
        assert "Read-only file system" in refused.stderr, server.run(f"cat /proc/{pid()}/mountinfo").stdout
    server.run(f"{taken_over} touch /run/{PAGE}/planted; rm /run/{PAGE}/planted")
    # Nor the other way round: the page's requests are not the server's to write.
    server_taken_over = taken_over.replace(f"--target {pid()}", f"--target {process(server)}")
    for directory in (f"/run/{PAGE}", "/run"):
        refused = server.run(f"{server_taken_over} touch {directory}/planted", check=False)
        assert "Read-only file system" in refused.stderr, directory
    server.run(f"{server_taken_over} touch /run/{UNIT}/planted; rm /run/{UNIT}/planted")
    assert server.run(f"{taken_over} cat /proc/{process(server)}/environ", check=False).returncode != 0
    server.run(f"{taken_over} touch {DATA}/registry/planted; rm {DATA}/registry/planted")

    before, page = process(server), pid()
    server.run(f"systemctl kill --signal=KILL {PAGE}")
    await_another(server, page, PAGE)
    assert process(server) == before
    page = pid()
    server.run(f"systemctl restart {UNIT}")
    assert (active(server, f"{PAGE}.service"), pid()) == ("active", page)


def test_a_program_of_its_own_tells_ipxe_that_there_is_no_router(
    server: Container, capsys: pytest.CaptureFixture[str]
) -> None:
    """The server asks it; nobody else can, and it can do nothing else."""

    def tell(user: str) -> str:
        become = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--bounding-set=-all"]
        done = server.run([*become, f"{HOME}/bin/python3", "-I", "-c", TELL, str(pc)])
        return done.stdout.strip()

    unit, pc = f"{UNIT}-no-router", MacAddress.parse("52:54:00:aa:bb:cc")
    with Ipv6Ear(server.network.host("pc", "", pc)) as ear:
        assert "Permission denied" in tell("games")
        assert tell(UNIT) == ""
        assert ear.await_frame()[14:] == no_router.advertisement(pc)
        server.run(f"systemctl restart {UNIT}")
        assert tell(UNIT) == ""
        assert ear.await_frame()[14:] == no_router.advertisement(pc)
    pid = server.run(f"systemctl show --property=MainPID --value {unit}").stdout.strip()
    status = server.run(f"cat /proc/{pid}/status").stdout.splitlines()
    fields = dict(line.split(":\t", 1) for line in status)
    assert {fields[name] for name in ("CapEff", "CapPrm", "CapBnd", "CapAmb")} == {CAP_NET_RAW}
    assert (fields["NoNewPrivs"], fields["Seccomp"]) == ("1", "2")
    users = [server.run(["id", "--user", user]).stdout.strip() for user in (UNIT, "root")]
    assert fields["Uid"].split()[0] not in users
    last = server.run(["systemd-analyze", "--no-pager", "security", f"{unit}.service"]).stdout.splitlines()[-1]
    figure = float(last.partition(": ")[2].split()[0])
    with capsys.disabled():
        print(f"\nexposure of the running {unit}.service: {figure} (at most {MOST_EXPOSED})")
    assert figure <= MOST_EXPOSED


def test_systemd_has_no_complaint_about_the_installed_units(server: Container) -> None:
    done = server.run("systemd-analyze verify --man=no /lib/systemd/system/netboot-appliance* 2>&1")
    assert done.stdout == ""


def test_a_rejected_reload_fails_and_is_shown_until_a_good_one(server: Container) -> None:
    pid = process(server)
    server.run(f"systemctl reload {UNIT}")
    server.run(f"echo '[sever]' >>{CONFIGURATION}")
    assert server.run(f"systemctl reload {UNIT}", check=False).returncode != 0
    assert (active(server), process(server)) == ("active", pid)
    assert "reload REJECTED, the old configuration stays: " in (line := shown(server, "StatusText"))
    assert "unknown section 'sever'" in line
    told = server.run(f"journalctl --sync; systemctl status --no-pager --lines=20 {UNIT}").stdout
    assert "reload REJECTED, the old configuration stays" in told
    assert "did you mean server?" in told
    status = server.run("netboot-appliance status")
    assert "reload    REJECTED" in status.stdout
    # The same by hand.
    assert server.run("netboot-appliance reload", check=False).returncode == 1

    server.run(f"cp -a /root/before.toml {CONFIGURATION}; systemctl reload {UNIT}")
    wait_until(lambda: "REJECTED" not in shown(server, "StatusText"), SECONDS, "the line of systemd to be right again")
    assert "REJECTED" not in server.run("netboot-appliance status").stdout
    server.run(f"systemctl kill --signal=HUP {UNIT}")
    # While it reloads it is "reloading".
    wait_until(lambda: active(server) == "active", SECONDS, "the reload to end")
    assert process(server) == pid


def test_after_a_kill_it_restarts_with_what_it_knew(server: Container) -> None:
    server.run("netboot-appliance allow add 52:54:00:aa:bb:cc --label window")
    before = process(server)
    server.run(f"systemctl kill --signal=KILL {UNIT}")
    await_another(server, before)
    assert bound(server) >= PORTS
    assert "window" in allowed(server)


def sign_of_life(server: Container) -> float:
    """When the server has given its last one, in seconds of the monotonic clock."""
    return int(shown(server, "WatchdogTimestampMonotonic")) / 1e6


def test_the_watchdog_ends_a_server_that_hangs(server: Container) -> None:
    server.run(f"mkdir -p $(dirname {DROP_IN}); printf '[Service]\\nWatchdogSec={WATCHDOG}\\n' >{DROP_IN}")
    server.run(f"systemctl daemon-reload; systemctl restart {UNIT}")
    before = process(server)
    # It lives longer than that while its loop runs.
    begun = sign_of_life(server)
    wait_until(lambda: sign_of_life(server) - begun > 2 * WATCHDOG, SECONDS, "signs of life", 0.5)
    assert process(server) == before
    server.run(["kill", "-STOP", before])
    await_another(server, before)
    assert "Watchdog timeout" in server.said(UNIT)


def test_a_port_taken_at_start_is_retried(server: Container) -> None:
    taken = "cannot listen on UDP port 69 on 10.77.0.1: another process is using it"
    server.run(f'systemctl stop {UNIT}; systemd-run --unit=holder /usr/bin/python3 -c "{HOLD}"')
    try:
        server.wait("ss -Hlun | grep -q 10.77.0.1:69", SECONDS)
        assert server.run(f"systemctl start {UNIT}", check=False).returncode != 0
        assert active(server) == "activating"

        # It cannot see other processes; the doctor can.
        def says() -> bool:
            line = shown(server, "StatusText")
            return taken in line and "sudo netboot-appliance doctor" in line

        # Each try begins with an empty line.
        wait_until(says, SECONDS, f"systemd to say {taken!r}")
        assert "(process " in server.run("netboot-appliance doctor", check=False).stdout
    finally:
        server.run("systemctl stop holder")
    await_another(server, "0")


def test_an_error_that_only_a_person_can_fix_is_not_retried(server: Container) -> None:
    server.run(f"echo '[server' >>{CONFIGURATION}")
    assert server.run(f"systemctl restart {UNIT}", check=False).returncode != 0
    assert active(server) == "failed"
    assert "not valid TOML" in server.run(f"systemctl status --no-pager {UNIT}", check=False).stdout
    server.run(f"cp -a /root/before.toml {CONFIGURATION}; chmod 600 {CONFIGURATION}; chgrp root {CONFIGURATION}")
    assert server.run(f"systemctl restart {UNIT}", check=False).returncode != 0
    told = shown(server, "StatusText")
    assert f"chgrp netboot-appliance {CONFIGURATION}; chmod 640 {CONFIGURATION}" in told
    server.run(f"systemd-tmpfiles --create; systemctl restart {UNIT}")


def test_the_service_continues_after_a_run_by_hand_as_root(server: Container) -> None:
    server.run(f"systemctl stop {UNIT} {PAGE}; rm -rf {DATA}/registry {DATA}/boot")
    # Before there were units, root made the directories.
    server.run("netboot-appliance serve >/root/serve.log 2>&1 & echo $! >/root/serve.pid")
    server.wait("grep -q '\"serving\"' /root/serve.log", SECONDS)
    server.run("kill $(cat /root/serve.pid)")
    server.wait("! kill -0 $(cat /root/serve.pid)", SECONDS)
    server.run("netboot-appliance allow add 52:54:00:aa:bb:dd --label by-hand")
    assert server.run(f"stat -c %U {DATA}/registry").stdout.strip() == "root"
    server.run(f"systemd-tmpfiles --create; systemctl start {UNIT} {PAGE}")
    assert active(server) == active(server, f"{PAGE}.service") == "active"
    assert "by-hand" in allowed(server)
