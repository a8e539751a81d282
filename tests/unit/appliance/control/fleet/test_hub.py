"""Open pages that are told: slow ones, too many of them, and those about one PC."""

import asyncio

import pytest

from appliance.control.fleet import hub as hubs
from appliance.control.fleet.hub import Hub, PageListener, TooManyPagesError, as_bytes
from appliance.control.fleet.pcs import EVERYBODY, Wanted
from appliance.control.fleet.rooms import Change
from tests.unit.appliance.control.fleet.pcs import facts, kept


def change(version: int, number: int = 1) -> Change:
    before, after = kept(facts(number), 1), kept(facts(number, heard=float(version)), version)
    return Change(version, ((before, after),), "", "", anew=False)


async def heard(listener: PageListener) -> list[str] | None:
    """The names of the events that wait for it."""
    events = await listener.next(0.01)
    return None if events is None else [name for name, _ in events]


async def test_a_page_is_told_everything_in_order() -> None:
    hub = Hub()
    with hub.listen("10.0.0.1") as page:
        assert await heard(page) == []
        for version in (2, 3):
            hub.tell(change(version))
        events = await page.next(1)
        assert events is not None
        assert [name for name, _ in events] == ["rows", "rows"]
        assert await heard(page) == []


async def test_a_change_wakes_a_page_that_waits() -> None:
    hub = Hub()
    with hub.listen("10.0.0.1") as page:
        waiting = asyncio.create_task(page.next(30))
        await asyncio.sleep(0)
        hub.tell(change(2))
        assert await waiting == [("rows", change(2).rows(EVERYBODY))]


async def test_a_slow_page_loses_the_middle_and_loads_anew() -> None:
    hub = Hub()
    with hub.listen("10.0.0.1") as slow, hub.listen("10.0.0.2") as quick:
        for version in range(2, 1000):
            hub.tell(change(version))
            if version % 5 == 0:
                await heard(quick)
        assert await heard(slow) == ["anew"]
        hub.tell(change(1000))
        assert await heard(slow) == ["rows"]


async def test_a_page_loads_anew_once_in_a_while_and_then_at_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hubs, "_ANEW_EVERY", 0.2)
    hub, moved = Hub(), Change(2, (), "", "", anew=True)
    with hub.listen("10.0.0.1") as page:
        hub.tell(moved)
        assert await heard(page) == ["anew"]
        hub.tell(moved)
        hub.tell(change(3))
        assert await heard(page) == []
        assert await page.next(5) == [("anew", "")]
        hub.tell(change(4))
        assert await heard(page) == ["rows"]


async def test_a_page_with_some_pcs_loads_anew_when_they_are_others() -> None:
    hub = Hub()
    with hub.listen("10.0.0.1", Wanted.of("", "1003")) as page:
        hub.tell(change(2, 9))
        assert await heard(page) == []
        before, after = kept(facts(9)), kept(facts(9, words="task 1003"), 3)
        hub.tell(Change(3, ((before, after),), "", "", anew=False))
        assert await heard(page) == ["anew"]


async def test_the_page_of_a_pc_is_told_of_this_pc_only() -> None:
    hub = Hub()
    with hub.listen("10.0.0.1", mac="52:54:00:00:00:01") as page:
        hub.tell(change(2, 2))
        assert await heard(page) == []
        hub.tell(change(3, 1))
        hub.tell(change(4, 1))
        assert await heard(page) == ["pc"]


async def test_pages_are_bounded_in_all_and_for_each_address() -> None:
    hub = Hub(most=3, most_per_address=2)
    with hub.listen("10.0.0.1"):
        with hub.listen("10.0.0.1"):
            with pytest.raises(TooManyPagesError):
                hub.listen("10.0.0.1")
            with hub.listen("10.0.0.2"), pytest.raises(TooManyPagesError):
                hub.listen("10.0.0.3")
        # What has left makes room, for its address too.
        with hub.listen("10.0.0.1"):
            assert len(hub) == 2
    assert len(hub) == 0


async def test_the_end_is_the_end_for_all() -> None:
    hub = Hub()
    with hub.listen("10.0.0.1") as page:
        hub.tell(change(2))
        hub.end()
        assert await heard(page) is None


async def test_ten_thousand_slow_pages_cost_a_change_little(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def rows(_: Change, wanted: Wanted) -> str:
        made.append(wanted)
        return "row"

    monkeypatch.setattr(Change, "rows", rows)
    hub = Hub(10_000, 10_000)
    pages = [hub.listen("10.0.0.1") for _ in range(10_000)]
    hub.tell(change(2))
    for page in pages:
        assert await page.next(0) == [("rows", "row")]
    assert len(made) == 1


def test_an_event_cannot_be_broken_by_lines_in_it() -> None:
    assert as_bytes([("rows", "<li>a\revent: x\n</li>")], "e-7") == (
        b"id: e-7\nevent: rows\ndata: <li>a\ndata: event: x\ndata: </li>\n\n"
    )
