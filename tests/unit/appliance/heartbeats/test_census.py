"""The states of all PCs at once, as the pure function decides them of each."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.heartbeats import census, orders, store
from appliance.heartbeats.states import Kind, state
from appliance.journal import history
from appliance.journal.codec import encode_state
from appliance.journal.timeline import fold
from appliance.registry.database import Registry
from appliance.registry.records import BootState
from services.ethernet import MacAddress
from services.events import Reported
from services.http.heartbeats import OrderVerb
from tests.unit.appliance.cli.room_of_pcs import COMPUTES, FAILED, IDLE, OFF, SILENT, STALLED, UNHEARD, fill


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    fill(tmp_path / "registry.sqlite3")
    with Registry(tmp_path / "registry.sqlite3") as registry:
        yield registry


def kinds(registry: Registry, now: float) -> dict[MacAddress, Kind]:
    found = census.take(registry, now)
    return {mac: each for each in Kind for mac in found.of_kinds({each})}


def test_every_state(registry: Registry) -> None:
    found = census.take(registry, time.time())
    assert kinds(registry, time.time()) == {
        COMPUTES: Kind.COMPUTING,
        IDLE: Kind.IDLE,
        SILENT: Kind.SILENT,
        UNHEARD: Kind.UNHEARD,
        STALLED: Kind.STALLED,
        FAILED: Kind.FAILED,
        OFF: Kind.OFF,
    }
    assert {each: many for each, many in found.counts.items() if many != 1} == {
        Kind.BOOTING: 0, Kind.SUSPENDED: 0, Kind.ELSEWHERE: 0,
    }  # fmt: skip
    assert found.urgent(100) == [6, 5, 2, 3, 4, 1, 7], "boots, those that need a person first"
    assert found.urgent(2) == [6, 5]


@pytest.mark.parametrize("later", [0.0, 60.0, 170.0, 200.0, 1e6, -30.0, -600.0, -1e6])
def test_what_is_counted_is_what_is_shown(registry: Registry, later: float) -> None:
    now = time.time() + later
    ended = census.ends_of_boots(registry)
    for boot in history.latest(registry):
        shown = state(boot, store.latest(registry, boot.mac), ended.get(boot.mac.value), now)
        assert kinds(registry, now)[boot.mac] is shown.kind


def test_a_pc_that_was_switched_off_is_silent_after_three_minutes(registry: Registry) -> None:
    heard = time.time() - 5
    assert kinds(registry, heard + 170)[COMPUTES] is Kind.COMPUTING
    assert kinds(registry, heard + 190)[COMPUTES] is Kind.SILENT


def test_a_pc_that_was_switched_off_by_its_button_is_off_until_it_is_heard_again(registry: Registry) -> None:
    now = time.time()
    for boot in history.latest(registry):
        if boot.mac in (COMPUTES, SILENT):
            off = fold(boot, Reported(boot.mac, "off"), now - 100)
            registry.save_states([BootState(off.id, now - 100, str(off.stage), off.under_way, encode_state(off))])
    assert (kinds(registry, now)[COMPUTES], kinds(registry, now)[SILENT]) == (Kind.COMPUTING, Kind.OFF)


def test_who_has_loaded_nothing_is_not_counted(registry: Registry) -> None:
    registry.sql.execute("DELETE FROM clients WHERE mac = ?", (FAILED.value,))
    assert FAILED not in kinds(registry, time.time())


def test_orders_that_ended_an_earlier_boot_or_none_do_not_count(registry: Registry) -> None:
    now = time.time()
    assert set(census.ends_of_boots(registry)) == {OFF.value}
    assert census.ends_of_boots(registry, COMPUTES) == {}
    for verb, ended, result in (
        (OrderVerb.OFF, now - 90_000, "done"),
        (OrderVerb.OFF, now - 10, "failed: no"),
        (OrderVerb.SUSPEND, now - 10, "done"),
    ):
        (order,) = orders.give(registry, [SILENT], verb, now)
        orders.record(registry, {order.id: ended}, {order.id: (ended, result)})
    assert set(census.ends_of_boots(registry)) == {OFF.value}
    assert kinds(registry, now)[SILENT] is Kind.SILENT
