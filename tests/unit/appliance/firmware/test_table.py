"""What the registry stores about firmware: written when it changes, known after a restart, gone after `forget`."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from appliance.firmware.knowledge import FirmwareKnowledge, Why
from appliance.firmware.memory import FirmwareMemory
from appliance.firmware.table import forget, read
from appliance.registry.database import Registry
from services.decision import Reason
from services.dhcp.plan import Profile
from services.ethernet import MacAddress
from services.events import Discovered, Ignored, Offered, ScriptServed, TransferServed

MAC, OTHER = MacAddress.parse("52:54:00:aa:bb:01"), MacAddress.parse("52:54:00:aa:bb:02")
EDK2, ROM = "52:54:00 EDK2 7", "52:54:00 ROM 0"


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with Registry(tmp_path / "r.sqlite3") as registry:
        yield registry


class Box:
    """A server with this registry, and with its own clock."""

    def __init__(self, registry: Registry, shim: bool = False) -> None:
        self.registry = registry
        self.shim = shim
        self.now = 1000.0
        self.restart()

    def restart(self) -> None:
        """As a new process, without a flush."""
        self.memory = FirmwareMemory(self.registry, self.shim)

    def discover(self, mac: MacAddress = MAC, xid: int = 1, firmware: str = EDK2) -> Profile:
        """One DISCOVER and our offer; returns the profile of the offer."""
        self.now += 10
        architecture = int(firmware[-1])
        self.memory.observe(Discovered(mac, architecture, False, xid, 0, False, firmware), self.now)
        profile = self.memory.profile(mac)
        self.memory.observe(Offered(mac, "x", 67), self.now)
        return profile

    def learn(self, mac: MacAddress = MAC, firmware: str = EDK2, discovers: int = 3) -> None:
        """Ignore all offers but the last, and boot with that."""
        for _ in range(discovers):
            self.discover(mac, firmware=firmware)
        self.memory.observe(TransferServed(mac, "tftp", "snponly.efi", 9, 0.1), self.now + 1)
        self.memory.observe(ScriptServed(mac), self.now + 4)
        self.memory.flush()


def test_what_worked_is_known_after_a_restart(registry: Registry) -> None:
    box = Box(registry)
    box.learn()
    box.restart()
    assert box.discover(xid=2) is Profile.VENDOR_OPTIONS
    assert read(registry) == {MAC: (FirmwareKnowledge(EDK2, Profile.VENDOR_OPTIONS, True, Why.IGNORED, 1034.0),)}


def test_nothing_is_written_about_a_pc_that_has_not_booted(registry: Registry) -> None:
    box = Box(registry)
    box.discover()
    box.memory.observe(Ignored("dhcp", str(MAC), Reason.NO_IMAGE), 1.0)
    box.memory.flush()
    assert read(registry) == {}


def commits(watcher: Registry) -> object:
    """A number that changes when another connection commits."""
    return watcher.sql.execute("PRAGMA data_version").fetchone()


def test_only_what_changes_is_written(registry: Registry, tmp_path: Path) -> None:
    box = Box(registry)
    with Registry(tmp_path / "r.sqlite3") as watcher:
        box.learn(discovers=1)
        before = commits(watcher)
        for _ in range(3):
            box.learn(discovers=1)
        assert commits(watcher) == before
    assert read(registry)[MAC] == (FirmwareKnowledge(EDK2, worked=True, at=1014.0),)


def test_each_firmware_of_a_pc_has_its_own_profile(registry: Registry) -> None:
    box = Box(registry)
    box.learn()
    box.learn(firmware=ROM, discovers=1)
    box.restart()
    assert box.discover(xid=8) is Profile.VENDOR_OPTIONS
    assert box.discover(xid=9, firmware=ROM) is Profile.STANDARD
    assert {row.fingerprint: row.profile for row in read(registry)[MAC]} == {
        EDK2: Profile.VENDOR_OPTIONS,
        ROM: Profile.STANDARD,
    }


def test_a_new_pc_of_a_known_firmware_begins_with_what_works_there(registry: Registry) -> None:
    box = Box(registry)
    box.learn()
    assert box.discover(OTHER) is Profile.VENDOR_OPTIONS
    box.memory.flush()
    assert [row.why for row in read(registry)[OTHER]] == [Why.SAME_FIRMWARE]
    assert box.discover(MacAddress(7), firmware=ROM) is Profile.STANDARD


def test_the_server_forgets_what_the_cli_deletes(registry: Registry, tmp_path: Path) -> None:
    box = Box(registry)
    box.learn()
    box.learn(OTHER, discovers=1)
    with Registry(tmp_path / "r.sqlite3") as cli:
        assert forget(cli, [MAC, MacAddress(7)]) == 1
        assert forget(cli, [MAC]) == 0
    box.memory.refresh()
    assert box.discover(MAC, xid=2, firmware=ROM) is Profile.STANDARD
    assert box.discover(OTHER, xid=2) is Profile.VENDOR_OPTIONS
    forget(registry, [OTHER])
    box.memory.refresh()
    assert box.discover(MAC, xid=3) is Profile.STANDARD


def test_what_is_deleted_while_it_changes_stays_deleted(registry: Registry) -> None:
    box = Box(registry)
    box.learn()
    box.now += 3600
    box.learn(firmware=ROM, discovers=1)
    box.discover(firmware=ROM)
    box.memory.observe(TransferServed(MAC, "tftp", "x.efi", 9, 0.1), box.now)
    forget(registry, [MAC])
    for xid in (4, 5, 6):
        box.discover(xid=xid)
        box.discover(xid=xid, firmware="52:54:00 OTHER 7")
    box.memory.flush()
    assert read(registry) == {}
    assert box.discover(xid=7) is Profile.STANDARD


def test_what_cannot_be_written_is_written_later(registry: Registry) -> None:
    box = Box(registry)
    registry.sql.execute("ALTER TABLE adaptations RENAME TO away")
    with pytest.raises(Exception, match="no such table"):
        box.learn()
    registry.sql.execute("ALTER TABLE away RENAME TO adaptations")
    box.memory.flush()
    assert MAC in read(registry)


def test_a_row_of_a_newer_version_is_skipped(registry: Registry) -> None:
    for row in ("1, 'x', 'by pigeon', 1, '', 1.0", "2, 'x', 'delayed', 1, '?', 1.0", "2, 'y', 'delayed', 1, '', 2.0"):
        registry.sql.execute(f"INSERT INTO adaptations VALUES ({row})")
    assert read(registry) == {MacAddress(2): (FirmwareKnowledge("y", Profile.DELAYED, True, at=2.0),)}


def test_the_log_says_what_was_learned_once(registry: Registry) -> None:
    box = Box(registry)
    with capture_logs() as logs:
        box.learn()
        box.learn()
    assert [(line["event"], line["profile"]) for line in logs] == [
        ("its firmware gets another offer", "with option 43"),
        ("its firmware accepts this offer", "with option 43"),
    ]


def test_the_log_warns_where_no_signed_loader_is_installed(registry: Registry) -> None:
    box = Box(registry)
    with capture_logs() as logs:
        for xid in (1, 2, 3):
            box.discover(xid=xid)
            box.memory.observe(TransferServed(MAC, "tftp", "snponly.efi", 9, 0.1), box.now)
    (line,) = logs
    assert (line["log_level"], line["event"]) == ("warning", "its firmware refuses the boot loader")
