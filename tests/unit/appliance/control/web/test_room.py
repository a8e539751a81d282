"""The first page: empty, full, filtered; and the streams behind it."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from appliance.allowlist import Entry
from appliance.control.fleet import fleet as fleets
from appliance.control.fleet.hub import MOST_PER_ADDRESS
from appliance.control.fleet.pcs import EVERYBODY
from appliance.control.fleet.watcher import Watcher
from appliance.control.web.pen import RoomPen
from appliance.heartbeats import orders, store
from appliance.heartbeats.records import StoredHeartbeat
from services.boinc.condition import Condition, Doing, to_json
from services.ethernet import MacAddress, MacRange
from tests.unit.appliance.cli.box_with_releases import BoxWithReleases
from tests.unit.appliance.control import many_pcs
from tests.unit.appliance.control.web.browser import Browser, browser, text

NOW = time.time()


@pytest_asyncio.fixture
async def box(tmp_path: Path) -> AsyncIterator[Browser]:
    BoxWithReleases(tmp_path)
    async with browser(tmp_path / "c.toml", NOW) as found:
        yield found


def look(box: Browser) -> None:
    """What the fleet's thread does."""
    with box.registry as registry:
        watcher = Watcher(registry, RoomPen(), box.context.fleet.room)
        change = watcher.look(box.context.config, NOW)
        box.context.fleet._take(watcher.room, change)


def rows(page: str) -> int:
    return page.count('<li id="p')


async def test_an_empty_room_says_what_to_do_next(box: Browser) -> None:
    look(box)
    page = text(await box.get("/"))
    assert "No PC has booted yet" in page
    assert "Nobody may boot yet" in page
    with box.registry as registry:
        registry.allow([Entry(MacRange(MacAddress(1), MacAddress(2)))])
    look(box)
    assert "PCs that may boot: 2 MAC addresses" in text(await box.get("/"))


async def test_before_the_registry_was_read_the_page_says_so_and_comes_back(
    box: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(box.context.fleet, "_look_once", lambda: None)
    monkeypatch.setattr(fleets, "_PATIENCE", 0.01)
    page = await box.get("/")
    assert "is being read" in page
    assert 'sse-connect="/live?' in page


async def test_a_room_has_counts_needs_and_every_pc(box: Browser) -> None:
    many_pcs.fill(box.context.config.registry, 40, NOW)
    look(box)
    page = await box.get("/")
    assert rows(page) == 40
    shown = text(page)
    assert "35 of 40 on, 32 compute 1 failed 1 stalled 1 idle" in shown
    assert "the project refuses the account key 1 PC put the account's current weak key" in shown
    assert "Room 102 10 of 10 on" in shown
    assert "The last 90 days Computing" in shown
    assert "Day (UTC) PCs core-hours credit hours on" in shown


async def test_all_pcs_with_a_fault_get_the_order_that_cures_it(box: Browser) -> None:
    many_pcs.fill(box.context.config.registry, 40, NOW)
    stopped = to_json(Condition(Doing.NO_ANSWER))
    macs = [many_pcs.pc(number) for number in (1, 2)]
    with box.registry as registry:
        boots = [registry.latest_boot(mac) for mac in macs]
        beats = [StoredHeartbeat(boot.mac, boot.id, NOW, {"uptime": "7200"}, stopped) for boot in boots if boot]
        store.write(registry, beats)
    look(box)
    box.scripts = True
    assert "Restart now: 2 PCs" in text(await box.get("/"))
    cause = "BOINC does not run, or does not answer"
    for which, verb in (("another", "reboot"), (cause, "off")):
        said = text(await box.post("/faults/orders", cause=which, verb=verb))
        assert "no PC has this fault any more" in said
    told = text(await box.post("/faults/orders", cause=cause, verb="reboot"))
    assert told == "Told: it follows within a minute and a half."
    with box.registry as registry:
        assert {(each.mac, str(each.verb)) for each in orders.recent(registry, 9)} == {(mac, "reboot") for mac in macs}


async def test_pcs_are_chosen_by_state_and_words(box: Browser) -> None:
    many_pcs.fill(box.context.config.registry, 40, NOW)
    look(box)
    page = await box.get("/?state=silent")
    assert rows(page) == 1
    assert "1 PC of 40" in text(page)
    assert '<option value="silent" selected>' in page
    assert 'sse-connect="/live?state=silent&amp;since=' in page
    page = await box.get("/?text=ROOM+102+tasks")
    assert rows(page) == 10
    assert 'value="ROOM 102 tasks"' in page
    page = await box.get('/?text="><script>')
    assert rows(page) == 0
    assert "No PC matches" in page
    assert '"><script>' not in page
    assert rows(await box.get("/?state=nonsense")) == 40


async def test_a_large_room_is_sent_in_chunks_with_turns_for_others(
    box: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    many_pcs.fill(box.context.config.registry, 500, NOW)
    look(box)
    turns = []

    async def turn() -> None:
        turns.append(1)

    monkeypatch.setattr("anyio.lowlevel.checkpoint", turn)
    page = await box.get("/")
    assert rows(page) == 500
    assert 2 < len(turns) <= len(page) // (1 << 16)


async def test_too_many_streams_of_one_address_are_refused(box: Browser) -> None:
    pages = [box.context.fleet.listen("127.0.0.1", EVERYBODY) for _ in range(MOST_PER_ADDRESS)]
    answer = await box.raw("/live")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "60"
    assert len(pages) == MOST_PER_ADDRESS


async def test_the_stream_of_no_pc_is_not_found(box: Browser) -> None:
    assert (await box.raw("/live/pcs/nonsense")).status_code == 404


async def test_files_are_kept_by_browsers_while_they_are_the_same(box: Browser) -> None:
    page = await box.get("/")
    address = page.split('rel="stylesheet" href="')[1].split('"')[0]
    assert (await box.raw(address)).headers["cache-control"] == "public, max-age=31536000, immutable"
    assert (await box.raw("/static/style.css")).headers["cache-control"] == "no-cache"
    assert (await box.raw("/static/none.css?123")).headers["cache-control"] != "public, max-age=31536000, immutable"
