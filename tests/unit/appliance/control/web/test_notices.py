"""The page of notices: what was told, how it went, and the button."""

import asyncio
import threading

import pytest

from appliance.config.file import load
from appliance.control.notify import outbox, trial
from appliance.control.notify.notices import Notice
from appliance.control.notify.rules import RuleName
from appliance.control.notify.trial import TrialView
from tests.unit.appliance.control.notify.servers import webhook
from tests.unit.appliance.control.web.browser import Browser, text


def configure(page: Browser, *addresses: str) -> None:
    path = page.context.path
    quoted = ", ".join(f'"{address}"' for address in addresses)
    path.write_text(f"{path.read_text()}\n[notify]\naddresses = [{quoted}]\n")
    page.context.config = load(path)


async def test_without_an_address_the_page_says_so(page: Browser) -> None:
    shown = text(await page.get("/notices"))
    assert "Nobody. In the configuration, for example: [notify] addresses" in shown
    assert "Nothing was told yet." in shown
    assert "PCs that are not heard any more for 10 min" in shown
    assert "[notify] addresses is empty" in text(await page.post("/notices/test", 422))


async def test_the_button_sends_a_test_and_shows_the_answer(page: Browser) -> None:
    with webhook() as hook:
        configure(page, hook.url, "json://127.0.0.1:9/token-of-mine")
        for scripts in (False, True):
            page.scripts = scripts
            shown = await page.post("/notices/test", 200)
            assert ("<html" in shown) is not scripts
            assert "Sent json://… (" in text(shown)
            assert "Failed json://… (" in text(shown)
            assert "token-of-mine" not in shown
    assert [post["title"].partition("] ")[2] for post in hook.posts] == ["Test: notices reach you"] * 2


async def test_one_test_at_a_time(page: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mail server that hangs for a minute must not take the threads of all other pages, however often one clicks."""
    asked, answered = threading.Semaphore(0), threading.Event()

    def hang(*_: object) -> list[TrialView]:
        asked.release()
        answered.wait(30)
        return [TrialView("admin@example.org", False, "hung")]

    monkeypatch.setattr(trial, "run", hang)
    configure(page, "json://127.0.0.1:9/x")
    first = asyncio.create_task(page.post("/notices/test", 200))
    try:
        assert await asyncio.to_thread(asked.acquire, timeout=30)
        for _ in range(20):
            assert "a test is under way" in text(await page.post("/notices/test", 422))
        assert "Nothing was told yet." in text(await page.get("/notices"))
    finally:
        answered.set()
    assert "hung" in text(await first)


async def test_what_was_told_is_shown_escaped(page: Browser) -> None:
    configure(page, "json://127.0.0.1:9/x")
    told = Notice(RuleName.FAULTS, "warning", "[boot] <b>1 PC</b>", "<script>alert(1)</script>\nDo: look")
    with page.registry as registry, registry.transaction():
        outbox._add(registry, told, page.context.config.notify.targets, 1e9)
    with page.registry as registry:
        (delivery,) = outbox.claim(registry, page.context.config.notify.targets, (), 1e9)
        outbox.record(registry, delivery, "<i>503</i>", 1e9)
    shown = await page.get("/notices")
    assert "<script>alert" not in shown
    assert "<b>1 PC" not in shown
    assert "<i>503" not in shown
    assert "waiting: <i>503</i>" in text(shown)
