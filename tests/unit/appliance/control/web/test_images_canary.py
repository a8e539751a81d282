"""A canary on the page: begun, promoted and cancelled, with root's helper and without."""

import pytest

from appliance.images import request_files, rollout_table
from appliance.images.image_request import ImageVerb
from appliance.root_requests.answer import RootAnswer
from image import release
from tests.unit.appliance.cli.box_with_releases import NEW, OLD
from tests.unit.appliance.control.web.browser import Browser, text


def open_canary(page: Browser) -> str:
    with page.registry as registry:
        found = rollout_table.open_canary(registry)
    return found.release if found else ""


async def begin(page: Browser, ident: str, wanted: str, status: int = 303) -> str:
    return await page.send("/images/canary", status, data={"release": ident, "for": wanted})


async def test_a_release_is_tried_by_a_few_and_cancelled(page: Browser) -> None:
    shown = await page.get("/images")
    assert shown.count("For a few first…") == 1, "the active release is everybody's"
    page.scripts = True
    begun = text(await begin(page, OLD, "1-per-label"))
    assert f"{OLD} at the next boot of 52:54:00:00:00:0" in begun
    assert f"all others boot {NEW}" in begun
    assert "Promote…" in begun
    assert "For a few first…" not in begun, "there is one at a time"
    assert open_canary(page) == OLD
    again = text(await begin(page, OLD, "1-per-label", 422))
    assert f"{OLD} is a canary already" in again
    ended = text(await page.post("/images/canary/cancel"))
    assert f"the canary {OLD} has ended; its PCs boot {NEW}" in ended
    assert open_canary(page) == ""
    assert "no canary is open" in text(await page.post("/images/canary/cancel", 422))


@pytest.mark.parametrize(
    ("ident", "wanted", "words"),
    [
        (OLD, "attic", "'attic' is no label, and no MAC address or range; nothing was changed"),
        (OLD, "", "'' is no label"),
        (OLD, "02:00:00:00:00:01", "nobody in 02:00:00:00:00:01 may boot"),
        (NEW, "room 12", "is the active release already"),
        ("20260101-000000-00000000", "room 12", "there is no release"),
        ("../../etc", "room 12", "there is no release '../../etc'"),
        (OLD, "<b>" * 100, "for is longer than 200 characters"),
    ],
)
async def test_what_cannot_be_begun_is_said_and_changes_nothing(
    page: Browser, ident: str, wanted: str, words: str
) -> None:
    assert words in text(await begin(page, ident, wanted, 422))
    assert open_canary(page) == ""


async def test_it_is_promoted_by_root(page: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await begin(page, OLD, "room 12") == "/images"
    by_hand = "This page cannot ask root here. Run: sudo netboot-appliance image canary promote"
    assert by_hand in text(await page.get("/images"))
    assert "cannot ask root here" in text(await page.post("/images/canary/promote", 422))
    answers = [RootAnswer("", error="the disk is full", hint="make room"), RootAnswer("", done=f"active: {OLD}")]

    def ask(verb: ImageVerb, ident: str) -> RootAnswer:
        assert (verb, ident) == (ImageVerb.ACTIVATE, OLD)
        if not answers[0].error:
            release.activate(page.context.config.images, ident)
        return answers.pop(0)

    monkeypatch.setattr(request_files, "available", lambda path: True)
    monkeypatch.setattr(request_files, "ask", ask)
    assert "the disk is full make room" in text(await page.post("/images/canary/promote", 422))
    assert open_canary(page) == OLD
    assert await page.post("/images/canary/promote") == "/images"
    assert open_canary(page) == ""
    assert "promoted 0 s ago: it was activated by hand" in text(await page.get("/images"))
