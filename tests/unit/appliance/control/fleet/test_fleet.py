"""The fleet's thread, and what a page has missed when it begins to listen."""

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from appliance.allowlist import Entry
from appliance.config.file import Config, load
from appliance.control.fleet import fleet as fleets
from appliance.control.fleet.fleet import Fleet
from appliance.control.fleet.pcs import EVERYBODY, Wanted
from appliance.control.fleet.rooms import Change, Room
from appliance.control.fleet.watcher import Watcher
from appliance.control.web.pen import RoomPen
from appliance.heartbeats.states import Kind
from appliance.registry.database import Registry
from services.ethernet import MacRange
from tests.unit.appliance.control import many_pcs
from tests.unit.appliance.control.fleet.pcs import facts, kept


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "c.toml").write_text(f'[server]\ndata = "{tmp_path}"\n')
    return load(tmp_path / "c.toml")


async def test_what_is_committed_is_told_within_a_second_or_two(config: Config) -> None:
    many_pcs.fill(config.registry, 30, time.time())
    fleet = Fleet(lambda: config, time.time, RoomPen())
    fleet.start()
    try:
        room = await fleet.current()
        assert room.counts.known == 30
        with fleet.listen("10.0.0.1", EVERYBODY) as page:
            with Registry(config.registry) as registry:
                many_pcs.beat_again(registry, [3], time.time() + 1)
            events = await page.next(30)
            assert events is not None
            ((name, html),) = events
            assert name == "rows"
            assert many_pcs.pc(3).bare in html
    finally:
        await fleet.stop()


async def test_it_looks_seldom_while_nobody_asks_and_at_once_for_a_page(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleets, "_UNWATCHED", 3600.0)
    looks = list[str]()
    original = Watcher.look

    def counted(watcher: Watcher, *others: Any) -> Change | None:
        looks.append(threading.current_thread().name)
        return original(watcher, *others)

    monkeypatch.setattr(Watcher, "look", counted)
    monkeypatch.setattr(fleets, "_PACE", 0.01)
    monkeypatch.setattr(fleets, "_SHARE", 0.0)
    many_pcs.fill(config.registry, 3, time.time())
    fleet = Fleet(lambda: config, time.time, RoomPen())
    fleet.start()
    try:
        await fleet.current()
        with Registry(config.registry) as registry:
            for later in range(20):
                many_pcs.beat_again(registry, [1], time.time() + later)
                await asyncio.sleep(0.02)
            assert len(looks) <= 3
            with fleet.listen("10.0.0.1", EVERYBODY) as page:
                many_pcs.beat_again(registry, [1], time.time() + 30)
                assert await page.next(30)
    finally:
        await fleet.stop()


async def test_what_was_changed_by_hand_is_waited_for(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleets, "_PACE", 3600.0)
    monkeypatch.setattr(fleets, "_PATIENCE", 30.0)
    many_pcs.fill(config.registry, 3, time.time())
    fleet = Fleet(lambda: config, time.time, RoomPen())
    fleet.start()
    try:
        assert {pc.facts.label for pc in (await fleet.current()).pcs.values()} == {"Room 101"}
        with Registry(config.registry) as registry:
            registry.allow([Entry(MacRange(many_pcs.pc(1), many_pcs.pc(1)), "by the door")])
            room = await fleet.current(registry.edits())
        assert room.pcs[str(many_pcs.pc(1))].facts.label == "by the door"
    finally:
        await fleet.stop()


async def test_nobody_waits_long_for_a_look(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleets, "_PATIENCE", 0.05)
    monkeypatch.setattr(Watcher, "look", lambda *_: time.sleep(0.5))
    many_pcs.fill(config.registry, 3, time.time())
    fleet = Fleet(lambda: config, time.time, RoomPen())
    fleet.start()
    try:
        assert (await fleet.current(1000)).read == 0
    finally:
        await fleet.stop()


async def test_stopping_ends_the_thread_and_the_pages(config: Config) -> None:
    fleet = Fleet(lambda: config, time.time, RoomPen())
    fleet.start()
    with fleet.listen("10.0.0.1", EVERYBODY) as page:
        async with asyncio.timeout(30):
            await fleet.stop()
        assert await page.next(30) is None


async def test_a_registry_that_cannot_be_read_is_said_and_tried_again(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleets, "_RETRY", 0.1)
    config.registry.parent.mkdir()
    config.registry.write_bytes(b"this is no database, but it is long enough to be looked at" * 100)
    fleet = Fleet(lambda: config, time.time, RoomPen())
    fleet.start()
    try:
        room = await fleet.current()
        assert "What you see is from earlier" in room.top
        assert room.read == 0
        config.registry.unlink()
        many_pcs.fill(config.registry, 1, time.time())
        async with asyncio.timeout(30):
            while not fleet.room.counts.known:
                await asyncio.sleep(0.05)
        assert fleet.room.trouble == ""
        assert "from earlier" not in fleet.room.top
    finally:
        await fleet.stop()


@pytest.fixture
def shown(config: Config) -> Fleet:
    """PC 1 changed in version 5, PC 2 in version 7; the arrangement in version 4."""
    fleet = Fleet(lambda: config, time.time, RoomPen())
    pcs = {each.facts.mac: each for each in (kept(facts(1), 5), kept(facts(2), 7))}
    fleet.room = Room(version=7, arranged=4, pcs=pcs, top='<div id="top">')
    return fleet


def missed(fleet: Fleet, version: int, wanted: Wanted = EVERYBODY, mac: str = "") -> list[tuple[str, int]]:
    ident = fleet.ident(Room(version=version))
    return [(name, html.count("<li ")) for name, html in fleet.missed(ident, wanted, mac)]


def test_a_page_gets_what_it_has_missed(shown: Fleet) -> None:
    assert missed(shown, 7) == []
    assert missed(shown, 6) == [("rows", 1)]
    assert missed(shown, 4) == [("rows", 2)]
    assert missed(shown, 3) == [("anew", 0)]
    assert missed(shown, 6, Wanted.of("computing", "")) == [("anew", 0)]
    assert missed(shown, 6, mac=str(facts(2).mac)) == [("pc", 0)]
    assert missed(shown, 6, mac=str(facts(1).mac)) == []


def test_a_page_that_has_missed_very_much_loads_anew(shown: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleets, "_MOST_ROWS", 1)
    assert missed(shown, 6) == [("rows", 1)]
    assert missed(shown, 4) == [("anew", 0)]


@pytest.mark.parametrize("ident", ["x", "x-7", "-", "-7", "{}-", "{}--1", "{}-x", "{}-²", "{}-" + "9" * 1000])
def test_a_page_of_an_earlier_process_loads_anew(shown: Fleet, ident: str) -> None:
    epoch = shown.ident(shown.room).partition("-")[0]
    assert shown.missed(ident.format(epoch), EVERYBODY, "") == [("anew", "")]


def test_a_page_that_says_nothing_has_missed_nothing(shown: Fleet) -> None:
    assert shown.missed("", EVERYBODY, "") == []


async def test_a_clock_that_is_set_back_freezes_nothing(config: Config) -> None:
    """By the year: what a wrong clock of the board does, until a time server answers."""
    many_pcs.fill(config.registry, 3, time.time())
    ahead = [365 * 86400.0]
    fleet = Fleet(lambda: config, lambda: time.time() + ahead[0], RoomPen())
    fleet.start()
    try:
        await fleet.current()
        assert fleet.room.counts.states.get(Kind.COMPUTING, 0) == 0
        ahead[0] = 0.0
        async with asyncio.timeout(30):
            while not fleet.room.counts.states.get(Kind.COMPUTING, 0):
                await asyncio.sleep(0.05)
    finally:
        await fleet.stop()


async def test_a_fault_is_said_on_the_page_and_does_not_freeze_it(
    config: Config, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(fleets, "_RETRY", 0.1)
    many_pcs.fill(config.registry, 3, time.time())

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as broken:
        broken.setattr(Watcher, "look", fail)
        fleet = Fleet(lambda: config, time.time, RoomPen())
        fleet.start()
        try:
            room = await fleet.current()
            assert "a fault in netboot-appliance" in room.top
            broken.undo()
            async with asyncio.timeout(30):
                while not fleet.room.counts.known:
                    await asyncio.sleep(0.05)
            assert fleet.room.trouble == ""
        finally:
            await fleet.stop()
