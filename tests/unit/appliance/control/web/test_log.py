"""The log on the page: filtered, in pages, newest first, and followed."""

import re

import pytest

from appliance.journal import event_pages
from appliance.journal.codec import encode
from appliance.journal.event_pages import EventFilter, read_before
from appliance.registry.database import Registry
from services.ethernet import MacAddress
from services.events import Event, Reported, ScriptServed, TransferFailed
from tests.unit.appliance.cli.room_of_pcs import COMPUTES, IDLE, pc
from tests.unit.appliance.control.web.browser import Browser, text


def happens(registry: Registry, *events: tuple[int, float, Event]) -> None:
    """Events of the boots with these numbers."""
    with registry.transaction():
        registry.append_events((boot, at, type(each).__name__, encode(each)) for boot, at, each in events)


@pytest.fixture
def history(page: Browser) -> Browser:
    """An old event, then 250 more of two PCs."""
    now = page.context.clock()
    with page.registry as registry:
        happens(registry, (1, now - 90_000, ScriptServed(COMPUTES)))
        for number in range(125):
            happens(
                registry,
                (1, now - 3000 + number, Reported(COMPUTES, "reported", {"uptime": f"<b>{number}</b>"})),
                (2, now - 3000 + number, TransferFailed(IDLE, "http", "initrd.img", number, "closed")),
            )
    return page


def rows(shown: str) -> list[str]:
    return [text(row) for row in re.findall(r"<tr><td.*?</tr>", shown, re.DOTALL)]


async def test_newest_first_and_page_by_page_to_the_beginning(history: Browser) -> None:
    address, seen = "/log", list[str]()
    while address:
        shown = await history.get(address)
        seen += rows(shown)
        older = re.search(r'href="(/log\?[^"]*before=\d+)"', shown)
        address = older[1].replace("&amp;", "&") if older else ""
    assert len(seen) == 251
    assert "did not load initrd.img (http): closed, after 124 bytes" in seen[0]
    assert "fetched its boot script" in seen[-1]
    assert "(uptime=<b>124</b>)" in seen[1]
    assert "<b>1" not in shown


async def test_of_one_pc_of_one_kind_and_of_one_time(history: Browser) -> None:
    assert len(rows(await history.get(f"/log?pc={IDLE}&kind=TransferFailed&since=day"))) == 100
    assert rows(await history.get(f"/log?pc={IDLE}&kind=Reported")) == []
    (old,) = rows(await history.get(f"/log?pc={COMPUTES.bare}&kind=ScriptServed"))
    assert "room 12" in old
    assert rows(await history.get("/log?kind=ScriptServed&since=day")) == []
    assert "No such event is known." in text(await history.get(f"/log?pc={pc(99)}"))


@pytest.mark.parametrize(
    ("query", "words"),
    [("pc=banana", "'banana' is not a MAC"), ("kind=<script>", "no such kind"), ("since=ever", "no such time")],
)
async def test_what_cannot_be_looked_for_is_said(page: Browser, query: str, words: str) -> None:
    shown = await page.get(f"/log?{query}", 422)
    assert words in text(shown)
    assert "<script>" not in shown


@pytest.mark.parametrize("number", ["-1", "-9223372036854775809", "99999999999999999999"])
async def test_a_number_that_no_event_has_is_refused(page: Browser, number: str) -> None:
    await page.get(f"/log?before={number}", 422)
    await page.get(f"/log/new?after={number}", 422)


async def test_a_page_that_follows_gets_what_is_new_once(history: Browser) -> None:
    shown = await history.get(f"/log?pc={COMPUTES}&follow=true")
    poll = re.search(r'hx-get="([^"]*)"', shown[shown.index('id="poll"') :])
    assert poll is not None
    address = poll[1].replace("&amp;", "&")
    assert rows(await history.get(address)) == []
    with history.registry as registry:
        happens(registry, (1, 5.0, ScriptServed(COMPUTES)), (2, 5.0, ScriptServed(IDLE)))
    new = await history.get(address)
    assert 'hx-swap-oob="afterbegin:#events"' in new
    assert len(rows(new)) == 1
    again = re.search(r'hx-get="([^"]*)"', new)
    assert again is not None
    assert rows(await history.get(again[1].replace("&amp;", "&"))) == []
    full = await history.raw("/log/new?after=0&shown=1999")
    assert full.headers["HX-Refresh"] == "true"


def test_a_page_of_some_events_looks_through_a_bounded_part(history: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_pages, "_SPAN", 50)
    wanted = EventFilter(kinds=frozenset({"ScriptServed"}))
    with history.registry as registry:
        before, looks = None, 0
        while (found := read_before(registry, before, 10, wanted)).more:
            assert found.events == ()
            before, looks = found.last, looks + 1
        assert (len(found.events), looks) == (1, 5)
        assert read_before(registry, None, 10, EventFilter(MacAddress(5))).more is False
        recent = EventFilter(kinds=frozenset({"ScriptServed"}), since=history.context.clock() - 3600)
        looks = 0
        before = None
        while (found := read_before(registry, before, 10, recent)).more:
            before, looks = found.last, looks + 1
        assert found.events == ()
        assert looks <= 5
