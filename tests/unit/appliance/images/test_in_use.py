"""Which releases PCs may be running."""

from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from appliance.allowlist import Entry
from appliance.images.in_use import releases_in_use
from appliance.journal.codec import encode
from appliance.journal.timeline import AddressLost
from appliance.registry.database import Registry
from appliance.registry.records import BootRow
from services.ethernet import MacAddress, MacRange
from services.events import AddressSeen, Event, Reported, ScriptServed, TransferServed

PC = MacAddress.parse("52:54:00:aa:bb:01")
OTHER = MacAddress.parse("52:54:00:aa:bb:02")
ADDRESS = IPv4Address("10.0.0.5")
NOW = 100_000.0
OLD, NEW = "20261101-090000-aaaaaaaa", "20261108-090000-aaaaaaaa"


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with Registry(tmp_path / "r.sqlite3") as opened:
        opened.allow(Entry(MacRange(mac, mac), "") for mac in (PC, OTHER))
        yield opened


def boot(
    registry: Registry, release: str, *events: Event | AddressLost, mac: MacAddress = PC, inherited: str = ""
) -> None:
    row = BootRow(registry.highest()[1] + 1, mac, 1000.0, "token", release, inherited)
    registry.open_boot(row)
    registry.append_events((row.id, 1000.0, type(event).__name__, encode(event)) for event in events)


def booted(mac: MacAddress = PC) -> tuple[Event, ...]:
    return (ScriptServed(mac), AddressSeen(mac, ADDRESS), Reported(mac, "computing", {}))


def test_without_a_boot_none_is_in_use(registry: Registry) -> None:
    assert releases_in_use(registry, NOW) == {}


def test_each_pc_runs_the_release_of_its_latest_boot(registry: Registry) -> None:
    boot(registry, OLD, *booted())
    boot(registry, NEW, *booted())
    boot(registry, NEW, *booted(OTHER), mac=OTHER)
    assert releases_in_use(registry, NOW) == {NEW: [PC, OTHER]}


def test_a_discover_without_a_script_may_be_a_strangers(registry: Registry) -> None:
    boot(registry, OLD, *booted())
    boot(registry, NEW, inherited=str(ADDRESS))
    assert releases_in_use(registry, NOW) == {OLD: [PC], NEW: [PC]}


def test_a_release_activated_after_the_discover_is_the_one_that_is_loaded(registry: Registry) -> None:
    boot(registry, OLD, *booted(), TransferServed(PC, "http", f"image/{NEW}/vmlinuz", 5, 0.1))
    assert set(releases_in_use(registry, NOW)) == {OLD, NEW}


def test_a_pc_that_is_no_longer_allowed_has_no_root(registry: Registry) -> None:
    boot(registry, OLD, *booted())
    registry.disallow(MacRange(PC, PC))
    assert releases_in_use(registry, NOW) == {}


def test_a_pc_that_lost_its_address_has_no_root(registry: Registry) -> None:
    boot(registry, OLD, *booted(), AddressLost(PC, ADDRESS))
    assert releases_in_use(registry, NOW) == {}


def hear(registry: Registry, at: float, boot: int = 1) -> None:
    with registry.transaction():
        values = (PC.value, boot, at, "computing", "{}", "{}")
        registry.sql.execute("INSERT OR REPLACE INTO heartbeats VALUES (?, ?, ?, ?, ?, ?)", values)


def test_a_pc_that_is_heard_runs_its_release_whatever_is_asked_in_its_name(registry: Registry) -> None:
    boot(registry, OLD, *booted())
    # Anybody can send a DISCOVER with its MAC address, and fetch its script.
    boot(registry, NEW, ScriptServed(PC), AddressSeen(PC, ADDRESS))
    assert releases_in_use(registry, NOW) == {NEW: [PC]}
    hear(registry, NOW - 60)
    assert releases_in_use(registry, NOW) == {NEW: [PC], OLD: [PC]}


def test_a_pc_that_is_heard_keeps_its_release_though_it_may_not_boot_any_more(registry: Registry) -> None:
    boot(registry, OLD, *booted(), AddressLost(PC, ADDRESS))
    registry.disallow(MacRange(PC, PC))
    hear(registry, NOW - 60)
    assert releases_in_use(registry, NOW) == {OLD: [PC]}
    assert releases_in_use(registry, NOW + 2 * 86400) == {}


def test_a_pc_that_is_heard_is_named_once(registry: Registry) -> None:
    boot(registry, OLD, *booted())
    hear(registry, NOW - 60)
    assert releases_in_use(registry, NOW) == {OLD: [PC]}


def test_a_boot_that_found_no_image_runs_none(registry: Registry) -> None:
    boot(registry, "", inherited=str(ADDRESS))
    assert releases_in_use(registry, NOW) == {}
