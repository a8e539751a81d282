"""The page of a PC: what it shows, and what can be done there, with scripts and without."""

import asyncio
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from markupsafe import escape

from appliance.boot import next_boot
from appliance.control.web.pc import BOOTS_AT_ONCE
from appliance.errors import OvertakenError
from appliance.exports import work_desk
from appliance.heartbeats import orders, store
from appliance.heartbeats.records import StoredHeartbeat
from appliance.registry.records import BootRow
from appliance.view.state_size import measure
from services.boinc.condition import BoincMessage, Condition, Doing, Task, to_json
from services.ethernet import MacAddress
from services.foreign_text import printable
from tests.unit.appliance.cli.box_with_releases import NEW
from tests.unit.appliance.cli.room_of_pcs import COMPUTES, COMPUTING, FAILED, IDLE, OFF, STALLED, pc
from tests.unit.appliance.control.web.browser import Browser, text


async def test_what_a_computing_pc_shows(page: Browser) -> None:
    shown = text(await page.get(f"/pcs/{COMPUTES}"))
    for words in (
        "room 12", str(COMPUTES), "computing", "OptiPlex 7060", "i5-8500", "61 °C", "e1000e 8086:15bb",
        "UEFI x64", "7812 MB, 5120 MB free", "18874 MB free", "script 20.0 s", "BOINC's messages",
        COMPUTING.tasks[0].name, COMPUTING.projects[0].name, COMPUTING.messages[-1].text,
    ):  # fmt: skip
        assert words in shown
    assert "<code>sudo netboot-appliance exports apply</code>" in await page.get(f"/pcs/{FAILED}")
    assert "not heard: an order waits" in text(await page.get(f"/pcs/{STALLED}"))


async def test_its_boots_of_a_year_come_in_pages(page: Browser) -> None:
    with page.registry as registry, registry.transaction():
        registry.open_boot(*(BootRow(n, COMPUTES, 1e9 + n, "t", f"r{n}", "") for n in range(1000, 1250)))
    assert f"/pcs/{COMPUTES}/boots" in await page.get(f"/pcs/{COMPUTES}")
    first = await page.get(f"/pcs/{COMPUTES}/boots")
    assert "251 boots are kept" in text(first)
    pages = [first]
    while found := re.search(r"boots\?before=(\d+)", pages[-1]):
        pages.append(await page.get(f"/pcs/{COMPUTES}/boots?before={found[1]}"))
    assert [shown.count("<tr>") - 1 for shown in pages] == [BOOTS_AT_ONCE, BOOTS_AT_ONCE, 51]
    assert re.findall(r">(r1\d+)<", "".join(pages)) == [f"r{n}" for n in range(1249, 999, -1)]
    assert "No boot is known before that" in await page.get(f"/pcs/{COMPUTES}/boots?before=0")
    assert "No boot is known." in await page.get(f"/pcs/{pc(99)}/boots")


async def test_any_notation_is_the_same_pc_and_a_stranger_is_not_found(page: Browser) -> None:
    assert "OptiPlex" in await page.get(f"/pcs/{COMPUTES.bare}")
    assert "has not booted yet" in text(await page.get(f"/pcs/{pc(99)}", 404))
    assert "is not a MAC address" in text(await page.get("/pcs/banana", 404))


async def test_an_order_without_scripts_is_given_shown_and_cancelled(page: Browser) -> None:
    assert await page.post(f"/pcs/{COMPUTES}/orders", verb="suspend") == f"/pcs/{COMPUTES}#orders"
    assert "suspend" in text(await page.get(f"/pcs/{COMPUTES}"))
    with page.registry as registry:
        (order,) = orders.latest(registry, COMPUTES, 5)
    await page.post(f"/pcs/{COMPUTES}/orders/{order.id}/cancel")
    assert "cancelled" in text(await page.get(f"/pcs/{COMPUTES}"))
    again = text(await page.post(f"/pcs/{COMPUTES}/orders/{order.id}/cancel", 422))
    assert f"order {order.id} has ended" in again


async def test_with_htmx_only_the_orders_come_back(page: Browser) -> None:
    page.scripts = True
    part = await page.post(f"/pcs/{COMPUTES}/orders", verb="finish")
    assert part.count("<section") == 1
    assert "finish" in text(part)
    assert "waits until the PC is heard" in text(part)


async def test_what_cannot_be_done_is_said_where_it_was_asked_for(page: Browser) -> None:
    shown = text(await page.post(f"/pcs/{OFF}/orders", 422, verb="off"))
    assert "off already; nothing was changed" in shown
    assert "Its boot" in shown
    assert "there is no such order" in text(await page.post(f"/pcs/{COMPUTES}/orders", 422, verb="explode"))
    assert "is not an entry of the menu" in text(await page.post(f"/pcs/{COMPUTES}/next", 422, entry="banana"))
    assert "is longer than 4,096 characters" in text(await page.post(f"/pcs/{COMPUTES}/next", 422, entry="x" * 5000))
    with page.registry as registry:
        assert orders.latest(registry, COMPUTES, 5) == []
        assert next_boot.all_of(registry) == []


async def test_an_order_of_another_pc_is_not_cancelled_here(page: Browser) -> None:
    await page.post(f"/pcs/{IDLE}/orders", verb="suspend")
    with page.registry as registry:
        (order,) = orders.latest(registry, IDLE, 5)
        await page.post(f"/pcs/{COMPUTES}/orders/{order.id}/cancel", 422)
        assert orders.find(registry, order.id) == order


async def test_the_next_boot_is_chosen_and_taken_back(page: Browser) -> None:
    shown = await page.get(f"/pcs/{COMPUTES}")
    assert f'value="image:{NEW}"' in shown
    await page.post(f"/pcs/{COMPUTES}/next", entry="local")
    assert "At its next boot it starts local , once." in text(await page.get(f"/pcs/{COMPUTES}"))
    await page.post(f"/pcs/{COMPUTES}/next", entry="")
    assert "The next boot is as usual." in text(await page.get(f"/pcs/{COMPUTES}"))


HOSTILE = ("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "nul\0nul", "x" * 10_000, "'; DROP TABLE")


@pytest.mark.parametrize("words", HOSTILE)
async def test_whatever_a_pc_says_is_text(page: Browser, words: str) -> None:
    task = Task(words, words, words, 0.5, 1.0, 1.0, 1.0, active=True)
    said = Condition(Doing.COMPUTING, 1.0, words, words, tasks=(task,), messages=(BoincMessage(1.0, words, words, 3),))
    with page.registry as registry:
        facts = dict.fromkeys(("model", "cpu", "card", "temperature", "load", "state_free_mb", "storage"), words)
        store.write(registry, [StoredHeartbeat(COMPUTES, 1, page.context.clock(), facts, to_json(said))])
        page_of = await page.get(f"/pcs/{COMPUTES}")
    assert "<script>alert" not in page_of
    assert "<img" not in page_of
    assert "\0" not in page_of
    assert page_of.count(str(escape(printable(words, len(words) + 10)))) >= 8


async def test_a_disk_that_hangs_does_not_hold_the_page(page: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    released = threading.Event()
    monkeypatch.setattr("appliance.control.web.pc._MEASURE_WITHIN", 0.05)
    monkeypatch.setattr("appliance.control.web.pc.measure", lambda *_: released.wait(30))
    try:
        assert "only root may look" in text(await asyncio.wait_for(page.get(f"/pcs/{COMPUTES}"), 10))
    finally:
        released.set()


async def test_the_size_of_its_work(page: Browser, tmp_path: Path) -> None:
    config = page.context.config
    assert not measure(config, COMPUTES).exists
    directory = config.state / COMPUTES.bare / "projects"
    directory.mkdir(parents=True)
    (directory / "work").write_bytes(b"x" * 100_000)
    found = measure(config, COMPUTES)
    assert found.complete
    assert 100_000 <= (found.used or 0) < 200_000
    assert "1" in text(await page.get(f"/pcs/{COMPUTES}"))


async def test_a_pc_that_is_off_is_forgotten_and_one_that_is_on_is_not(page: Browser) -> None:
    shown = text(await page.get(f"/pcs/{OFF}"))
    assert "Lost for good: all its boots with what happened in them, all its orders," in shown
    assert "A PC can be forgotten once it is off." in text(await page.get(f"/pcs/{COMPUTES}"))
    assert "it may be on (computing" in text(await page.post(f"/pcs/{COMPUTES}/forget", 409))
    assert f"To set its work aside, too: sudo netboot-appliance clients forget {OFF} --history --work" in shown
    assert "cannot ask root here; nothing was changed" in text(await page.post(f"/pcs/{OFF}/forget", 409, work="yes"))
    assert await page.post(f"/pcs/{OFF}/forget") == "/"
    await page.get(f"/pcs/{OFF}", 404)
    await page.post(f"/pcs/{OFF}/forget", 404)
    with page.registry as registry:
        assert len(registry.clients()) == 6
        assert orders.latest(registry, OFF, 5) == []
        assert OFF in registry.allowlist()


@pytest.mark.parametrize("trouble", ["", "it is still exported"])
async def test_forgetting_with_the_work_says_how_to_get_it_back(
    page: Browser, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    def ask(mac: MacAddress, accepted: Callable[[], None]) -> str:
        assert mac == OFF
        accepted()
        if trouble:
            raise OvertakenError(trouble, "is it on?")
        return "its work is kept until 2026-12-07"

    monkeypatch.setattr(work_desk, "available", lambda path: True)
    monkeypatch.setattr(work_desk, "ask", ask)
    assert "Forget it and set its work aside" in text(await page.get(f"/pcs/{OFF}"))
    assert "it may be on" in text(await page.post(f"/pcs/{COMPUTES}/forget", 409, work="yes"))
    shown = text(await page.post(f"/pcs/{OFF}/forget", 200, work="yes"))
    if trouble:
        assert f"It is forgotten, but its work stays: {trouble} is it on?" in shown
    else:
        assert "The PC is forgotten, and its work is kept until 2026-12-07." in shown
        assert f"sudo netboot-appliance clients restore {OFF}" in shown
    await page.get(f"/pcs/{OFF}", 404)
