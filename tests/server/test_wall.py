"""The wall before the NFS ports and the pinned neighbours under real systemd: what lasts, what ends, and what heals."""

from collections.abc import Iterator

import pytest

from tests.room.processes import wait_until
from tests.server.container import Container
from tests.server.program import active, process
from tests.server.suites import ON_DEBIAN_13

pytestmark = ON_DEBIAN_13

SECONDS = 120.0
UNIT = "netboot-appliance"
EXPORTS = "/etc/exports.d/netboot-appliance.exports"
OURS, THEIRS = "10.77.0.50", "10.77.0.60"


@pytest.fixture
def server(installed: Container) -> Iterator[Container]:
    """The server, and root's helper with an NFS server that it believes in: a container's kernel has none."""
    installed.run(
        "ln -sf /bin/true /usr/local/sbin/modprobe; systemctl unmask --runtime netboot-appliance-exports.path"
    )
    installed.run(f"systemctl reset-failed; systemctl start nftables; systemctl restart {UNIT}")
    wait_until(lambda: is_up(installed), SECONDS, "the wall")
    yield installed
    installed.run("rm -f /usr/local/sbin/modprobe")


def is_up(server: Container) -> bool:
    return server.run("nft list chain inet netboot_appliance guard", check=False).returncode == 0


def neighbour(server: Container, address: str) -> str:
    return server.run(f"ip -details neighbour show {address} nud all").stdout.strip()


def test_pins_outlive_a_restart_and_a_crash_but_not_a_stop(server: Container) -> None:
    # Without root's helper, which would ask for other pins at each start.
    server.run(f"systemctl mask --now --runtime netboot-appliance-exports.path; systemctl restart {UNIT}")
    for address, protocol in ((OURS, "178"), (THEIRS, "static")):
        entry = f"{address} lladdr 52:54:00:77:00:01 dev lan0 nud permanent protocol {protocol}"
        server.run(f"ip neighbour replace {entry}")
    server.run(f"systemctl restart {UNIT}")
    assert "proto 178" in neighbour(server, OURS)
    before = process(server)
    server.run(f"systemctl kill --signal=KILL {UNIT}")
    wait_until(lambda: active(server) == "active" and process(server) not in ("0", before), SECONDS, "the restart")
    assert "proto 178" in neighbour(server, OURS)
    server.run(f"systemctl stop {UNIT}")
    wait_until(lambda: neighbour(server, OURS) == "", SECONDS, "the pin to go", 0.1)
    assert "PERMANENT" in neighbour(server, THEIRS)
    assert is_up(server), "what is exported is still guarded"


def test_debians_firewall_takes_the_wall_down_for_no_longer_than_its_own_start(server: Container) -> None:
    server.run(f"systemctl stop {UNIT}")  # nobody asks for exports: only the unit can heal this
    for verb in ("reload", "restart"):
        server.run(f"systemctl {verb} nftables")
        wait_until(lambda: is_up(server), 10, "the wall", 0.05)
        assert "table inet filter" in server.run("nft list ruleset").stdout
    server.run("systemctl stop nftables")
    server.run("systemctl start nftables")
    wait_until(lambda: is_up(server), 10, "the wall", 0.05)


def test_at_boot_the_wall_is_up_before_the_nfs_server_or_nothing_is_exported(server: Container) -> None:
    server.run(f"systemctl stop {UNIT}; mkdir -p /etc/exports.d; echo '/srv 10.77.0.50/32(ro)' >{EXPORTS}")
    server.run("nft flush ruleset; systemctl restart netboot-appliance-wall")
    assert is_up(server)
    assert server.run(f"cat {EXPORTS}").stdout
    order = server.run("systemctl show --value --property=Before netboot-appliance-wall").stdout.split()
    assert "nfs-server.service" in order
    server.run("nft flush ruleset; echo nonsense >/var/lib/netboot-appliance-exports/wall.nft")
    assert server.run("systemctl restart netboot-appliance-wall", check=False).returncode
    assert server.run(f"cat {EXPORTS}").stdout == ""


def test_removing_the_package_leaves_no_rule_and_no_pin(server: Container) -> None:
    server.run(f"ip neighbour replace {OURS} lladdr 52:54:00:77:00:01 dev lan0 nud permanent protocol 178")
    server.run("apt-get remove -y netboot-appliance", timeout=300)
    assert not is_up(server)
    assert neighbour(server, OURS) == ""
    assert server.run("ls -d /var/lib/netboot-appliance-exports", check=False).returncode
