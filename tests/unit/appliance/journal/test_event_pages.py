"""The log of all events, page by page."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.journal import event_pages
from appliance.journal.event_pages import EventFilter, read_after, read_boot, read_last
from appliance.registry.database import Registry
from services.events import Discovered
from tests.unit.appliance.cli.eventful_room import BEGAN, ONE, OTHER, fill


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    fill(tmp_path / "registry.sqlite3")
    with Registry(tmp_path / "registry.sqlite3") as registry:
        yield registry


def test_one_page_leads_to_the_next(registry: Registry) -> None:
    seen, last, more = [], 0, True
    while more:
        page = read_after(registry, last, 4)
        assert len(page.events) <= 4
        seen += [each.number for each in page.events]
        last, more = page.last, page.more
    assert seen == list(range(1, 10))
    assert read_after(registry, last, 4).events == ()


def test_the_last_ones_come_in_their_order_and_the_next_page_is_what_happens_later(registry: Registry) -> None:
    page = read_last(registry, 2)
    assert [each.number for each in page.events] == [8, 9]
    registry.append_events([(1, BEGAN + 700, "ScriptServed", '{"mac": "52:54:00:00:00:01"}')])
    (new,) = read_after(registry, page.last, 10).events
    assert (new.number, new.at) == (10, BEGAN + 700)


def test_of_one_pc_of_one_kind_and_since_a_moment(registry: Registry) -> None:
    assert {each.mac for each in read_after(registry, 0, 99, EventFilter(OTHER)).events} == {OTHER}
    kinds = read_last(registry, 99, EventFilter(kinds=frozenset({"Discovered"}))).events
    assert [(each.mac, type(each.event)) for each in kinds] == [(ONE, Discovered), (OTHER, Discovered)]
    late = read_after(registry, 0, 99, EventFilter(since=BEGAN + 35)).events
    assert [each.kind for each in late] == ["Reported", "Reported"]
    assert read_after(registry, 0, 99, EventFilter(ONE, frozenset({"Reported"}), BEGAN + 41)).events == ()


def test_a_page_looks_through_so_many_and_no_more(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_pages, "_SPAN", 3)
    wanted = EventFilter(kinds=frozenset({"Reported"}))
    page = read_after(registry, 0, 1, wanted)
    assert (page.events, page.last, page.more) == ((), 3, True)
    found, last = [], 0
    while page.more:
        page = read_after(registry, last, 1, wanted)
        found += [each.number for each in page.events]
        last = page.last
    assert found == [8, 9]
    assert [each.number for each in read_last(registry, 2, wanted).events] == [8, 9]


def test_a_moment_is_found_among_many_events_with_those_that_waited_to_be_written(registry: Registry) -> None:
    rows = [(1, BEGAN + 1000 + number, "ScriptServed", '{"mac": "52:54:00:00:00:01"}') for number in range(5000)]
    waited = (2, BEGAN + 5970, "ScriptServed", '{"mac": "52:54:00:00:00:02"}')
    registry.append_events([*rows, waited])
    found = read_after(registry, 0, 99, EventFilter(since=BEGAN + 5970)).events
    assert [each.at - BEGAN for each in found] == [*range(5970, 6000), 5970]
    assert read_after(registry, 0, 99, EventFilter(since=BEGAN + 6000)).events == ()


def test_the_number_of_an_event_that_was_forgotten_leads_to_the_end(registry: Registry) -> None:
    assert read_after(registry, 4000, 99) == event_pages.EventPage((), 9, more=False)


def test_the_events_of_a_boot(registry: Registry) -> None:
    assert [each.number for each in read_boot(registry, 2)] == [5, 6, 9]
