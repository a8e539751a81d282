"""The server and its registry: what is reported when it cannot be written, and when it can be again."""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs

from appliance.allowlist import Entry
from appliance.boot import next_boot
from appliance.boot.next_boot import NextBoots
from appliance.journal.recorder import Journal
from appliance.registry.database import Registry
from appliance.schedules import holds
from appliance.server import registry_sync
from appliance.server.counters import ServerCounters
from appliance.server.registry_sync import RegistrySync
from services.ethernet import MacAddress, MacRange
from services.events import Discovered

MAC = MacAddress.parse("52:54:00:aa:bb:cc")


@dataclass
class Memory:
    """Stands for the firmware memory, and for the heartbeats."""

    flushed: int = 0
    refreshed: int = 0
    locked: bool = False

    def flush(self) -> None:
        self.flushed += 1

    def refresh(self) -> None:
        if self.locked:
            raise sqlite3.OperationalError("database is locked")
        self.refreshed += 1


@dataclass
class ReadingBox:
    """Stands for the box: reads the allowlist when it is told to."""

    registry: Registry
    firmware: Memory = field(default_factory=Memory)
    heartbeats: Memory = field(default_factory=Memory)
    counters: ServerCounters = field(init=False)
    next_boots: NextBoots = field(init=False)

    def __post_init__(self) -> None:
        self.next_boots = NextBoots(self.registry)
        self.counters = ServerCounters(self.registry)

    def refresh_allowlist(self) -> None:
        self.allowlist = self.registry.allowlist()

    def refresh_windows(self) -> None:
        self.holds = holds.all_of(self.registry)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with Registry(tmp_path / "registry.sqlite3", durable=False) as registry:
        yield registry


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, object]]]:
    monkeypatch.setattr(registry_sync, "log", structlog.get_logger())
    with capture_logs() as lines:
        yield lines  # type: ignore[misc]


def synced(registry: Registry) -> tuple[RegistrySync, Journal, ReadingBox]:
    journal, box = Journal(registry, lambda: 1000.0, lambda *_: None), ReadingBox(registry)
    return RegistrySync(registry, box, journal), journal, box  # type: ignore[arg-type]


def test_what_another_process_commits_is_read(registry: Registry, tmp_path: Path) -> None:
    registry_sync, _, box = synced(registry)
    registry_sync.turn(0)
    assert box.firmware == box.heartbeats == Memory(1, 0)
    with Registry(tmp_path / "registry.sqlite3") as cli:
        cli.allow([Entry(MacRange(MAC, MAC))])
        next_boot.ask(cli, MAC, "local")
    registry_sync.turn(1)
    assert MAC in box.allowlist
    assert box.next_boots.take(MAC, 1) == "local"
    assert box.firmware == box.heartbeats == Memory(2, 1)


def test_what_could_not_be_read_is_read_again(registry: Registry, tmp_path: Path) -> None:
    registry_sync, _, box = synced(registry)
    with Registry(tmp_path / "registry.sqlite3") as cli:
        cli.allow([Entry(MacRange(MAC, MAC))])
    box.heartbeats.locked = True
    registry_sync.turn(0)
    box.heartbeats.locked = False
    registry_sync.turn(1)
    registry_sync.turn(2)
    assert box.heartbeats.refreshed == 1


def test_a_lock_is_reported_when_it_lasts(registry: Registry, tmp_path: Path, said: list[dict[str, object]]) -> None:
    registry_sync, journal, _ = synced(registry)
    with Registry(tmp_path / "registry.sqlite3") as other, other.transaction():
        journal.open_or_continue(Discovered(MAC, 7, ipxe=False, xid=1, secs=0), "r")
        for second in (0, 1):
            registry_sync.turn(second)
        assert (registry_sync.trouble, said) == ("", [])
        for second in (2, 3):
            registry_sync.turn(second)
        assert " is locked: another program keeps writing to it" in registry_sync.trouble
    assert [line["log_level"] for line in said] == ["error"]
    registry_sync.turn(4)
    assert registry_sync.trouble == ""
    assert said[-1]["event"] == "the registry can be written again"
    assert [boot.mac for boot in registry.latest_boots()] == [MAC]


def test_a_registry_that_is_gone_is_reported_once(
    registry: Registry, tmp_path: Path, said: list[dict[str, object]]
) -> None:
    registry_sync, _, _ = synced(registry)
    (tmp_path / "registry.sqlite3").rename(tmp_path / "elsewhere")
    for second in (0, 1):
        registry_sync.turn(second)
    assert registry_sync.trouble == f"the registry {tmp_path}/registry.sqlite3 was deleted or replaced"
    assert len(said) == 1
    (tmp_path / "elsewhere").rename(tmp_path / "registry.sqlite3")
    registry_sync.turn(2)
    assert registry_sync.trouble == ""


def test_a_fact_that_cannot_be_written_is_written_later(registry: Registry, tmp_path: Path) -> None:
    registry_sync, _, _ = synced(registry)
    with (
        Registry(tmp_path / "registry.sqlite3") as other,
        other.transaction(),
        pytest.raises(sqlite3.OperationalError, match="locked"),
    ):
        registry.set_server("trouble", ["the interface lan0 is gone"])
    assert "trouble" not in registry.server()
    registry_sync.turn(0)
    assert registry.server()["trouble"] == ["the interface lan0 is gone"]


def test_leases_that_cannot_be_written_are_reported_and_written_later(registry: Registry, tmp_path: Path) -> None:
    box, pending = ReadingBox(registry), ["a lease"]

    class Leases:
        """Stands for the DHCP server."""

        def flush(self) -> None:
            with registry.transaction():
                pending.clear()

    registry_sync = RegistrySync(registry, box, Journal(registry, lambda: 1000.0, lambda *_: None), Leases())  # type: ignore[arg-type]
    with Registry(tmp_path / "registry.sqlite3") as other, other.transaction():
        for second in (0, 1, 2):
            registry_sync.turn(second)
        assert " is locked: another program keeps writing to it" in registry_sync.trouble
        assert pending
    registry_sync.turn(3)
    assert (registry_sync.trouble, pending) == ("", [])
