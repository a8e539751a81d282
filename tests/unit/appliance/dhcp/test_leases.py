"""The table of leases, its verbs, and a DHCP server that restarts with it."""

import json
import time
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from appliance.allowlist import Entry
from appliance.backup.carry_over import adopt_boots
from appliance.dhcp import leases
from appliance.doctor import pool
from appliance.doctor.finding import Severity
from appliance.registry.database import Registry
from appliance.registry.records import BootRow
from services.dhcp.lease import Lease, State
from services.ethernet import MacAddress, MacRange
from tests.unit.appliance.cli.program import netboot_appliance
from tests.unit.services.dhcp.lease_wire import BOX, DISCOVER, REQUEST, A, B, Wire, says

MAC = MacAddress.from_bytes(A)
LEASE = Lease(IPv4Address("10.77.0.100"), MAC, b"\x01abc", State.LEASED, 2000.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "registry" / "registry.sqlite3"


def test_leases_survive_a_restart_and_are_replaced_by_address(path: Path) -> None:
    blocked = Lease(IPv4Address("10.77.0.7"), MAC, b"", State.BLOCKED, 3000.0)
    renewed = Lease(LEASE.address, MacAddress.from_bytes(B), b"", State.RELEASED, 2500.5)
    with Registry(path, durable=False) as registry:
        assert leases.load(registry) == []
        leases.save(registry, [LEASE, blocked])
    with Registry(path) as registry:
        assert leases.load(registry) == [blocked, LEASE]
        leases.save(registry, [renewed])
        assert leases.load(registry) == [blocked, renewed]


def test_only_unexpired_leases_are_in_force() -> None:
    ended = Lease(IPv4Address("10.77.0.7"), MAC, b"", State.RELEASED, 3000.0)
    assert leases.in_force([LEASE, ended], 1999.0) == [LEASE]
    assert leases.in_force([LEASE, ended], 2000.0) == []


def test_a_server_that_was_killed_continues_where_it_was(path: Path) -> None:
    """Killed when one client has its lease and the other only an offer."""
    with Registry(path, durable=False) as registry:
        wire = Wire()
        wire.lease(A, "10.77.0.101")
        leases.save(registry, wire.leasing.changes())
        wire >> says(DISCOVER, B) << "OFFER 10.77.0.100 after a probe"
        assert wire.leasing.changes() == []
    with Registry(path, durable=False) as registry:
        wire = Wire(leases=leases.load(registry))
    wire >> says(REQUEST, A, ciaddr="10.77.0.101") << "ACK 10.77.0.101, renewed"
    wire >> says(REQUEST, B, wants="10.77.0.101", server=str(BOX)) << "NAK"
    wire >> says(REQUEST, B, wants="10.77.0.100", server=str(BOX)) << "ACK 10.77.0.100"


def test_addresses_leased_since_a_backup_stay_leased(tmp_path: Path, path: Path) -> None:
    with Registry(path) as running:
        running.open_boot(BootRow(1, MAC, 1.0, "t", "r", ""))
        leases.save(running, [LEASE])
    with Registry(tmp_path / "restored.sqlite3") as restored:
        leases.save(restored, [Lease(IPv4Address("10.77.0.102"), MAC, b"", State.LEASED, 1000.0)])
        assert adopt_boots(restored, path)
        assert leases.load(restored) == [LEASE]


def test_leases_list(tmp_path: Path, path: Path) -> None:
    config = tmp_path / "c.toml"
    config.write_text(f'[server]\ninterfaces = ["lo"]\ndata = "{tmp_path}/data"\n')

    def run(*arguments: str) -> str:
        return netboot_appliance("--config", config, "leases", "list", *arguments).stdout

    assert run() == "No address has been leased yet.\n"
    now = time.time()
    with Registry(path) as registry:
        registry.allow([Entry(MacRange(MAC, MAC), "desk 4")])
        current = Lease(LEASE.address, MAC, b"\x01abc", State.LEASED, now + 3500)
        ended = Lease(IPv4Address("10.77.0.101"), MacAddress.from_bytes(B), b"", State.LEASED, now - 300)
        blocked = Lease(IPv4Address("10.77.0.102"), MacAddress.from_bytes(B), b"", State.BLOCKED, now + 300)
        leases.save(registry, [current, ended, blocked])
    shown = [line.split("  ") for line in run().splitlines()]
    assert [[cell.strip() for cell in line if cell.strip()] for line in shown] == [
        ["address", "MAC", "label", "state", "until"],
        ["10.77.0.100", str(MAC), "desk 4", "leased", "for 58 min"],
        ["10.77.0.101", "52:54:00:77:00:0b", "ended", "5 min ago"],
        ["10.77.0.102", "52:54:00:77:00:0b", "blocked", "for 5 min"],
    ]
    first = json.loads(run("--json"))[0]
    assert first == {
        "address": "10.77.0.100",
        "mac": str(MAC),
        "client_id": "01616263",
        "state": "leased",
        "expires": current.expires,
        "label": "desk 4",
        "allowed": True,
    }


@pytest.mark.parametrize(
    ("leased", "severity"), [(0, Severity.OK), (89, Severity.OK), (90, Severity.WARNING), (100, Severity.ERROR)]
)
def test_the_doctor_sees_a_pool_run_empty(leased: int, severity: Severity) -> None:
    finding = pool.judge(leased, 100)
    assert finding.severity is severity
    assert f"{leased} of 100 addresses are leased" in finding.what
