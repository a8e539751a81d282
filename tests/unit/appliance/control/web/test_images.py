"""Images on the page: releases, a build that is followed, and what is asked of root."""

import json
import re
from dataclasses import replace

import pytest

from appliance.errors import UserError
from appliance.images import build_unit, notes, request_files
from appliance.images.build_record import BuildRecord, OutputLine
from appliance.images.image_request import ImageVerb
from appliance.images.notes import UpdateCheck, UpdateRun
from appliance.root_requests.answer import RootAnswer
from image import release
from image.updates import PackageUpdate
from tests.unit.appliance.cli.box_with_releases import NEW, OLD
from tests.unit.appliance.control.web.browser import Browser, text
from tests.unit.image.test_release import publish

FIRST = json.dumps({"invocation": "r1", "began": 1000.0, "stages": 7})
STEP = json.dumps(
    {"progress": {"stage": "chroot", "number": 4, "step": "Unpacking <b>linux</b>", "elapsed": 61.4, "left": 1e10}}
)


async def test_the_releases_and_by_hand_what_to_run(page: Browser) -> None:
    shown = text(await page.get("/images"))
    assert "2 releases" in shown
    assert f"{NEW} active" in shown
    assert f"{OLD} previous" in shown
    assert "not of today's recipe: another version of netboot-appliance built it" in shown
    assert f"This page cannot ask root here. Run: sudo netboot-appliance image activate {OLD}" in shown
    assert f"PCs boot {OLD} again, at their next power-on." in shown
    refused = text(await page.post("/images", 422, verb="rollback", release=""))
    assert "this page cannot ask root here run: sudo netboot-appliance image rollback" in refused


async def test_each_image_has_its_own_releases(page: Browser) -> None:
    images = page.context.config.images
    (page.config.parent / "images" / "lab").mkdir(parents=True, exist_ok=True)
    assert "lab: it was never built, for no PC" in text(await page.get("/images"))
    await page.post("/allowlist", range="00:14:22:00:00:01", label="lab", image="lab")
    assert "lab: PCS BOOT NOTHING: it was never built; for 1 entry of the allowlist" in text(await page.get("/images"))
    for each in ("20261201-090000-cccccccc", "20261202-090000-dddddddd"):
        publish(images, each, "lab")
        release.activate(images, each)
    shown = text(await page.get("/images"))
    assert shown.index(f"{NEW} active") < shown.index("lab: 20261202-090000-dddddddd, for 1 entry of the allowlist")
    assert "20261202-090000-dddddddd active" in shown
    assert "PCs boot 20261201-090000-cccccccc again, at their next power-on." in shown
    assert "Run: sudo netboot-appliance image rollback lab" in shown
    assert "Run: sudo netboot-appliance image build lab" in shown
    refused = text(await page.post("/images", 422, verb="rollback", release="", image="lab"))
    assert "run: sudo netboot-appliance image rollback lab" in refused


async def test_updates_go_the_way_of_the_timer_and_how_it_ended_is_shown(page: Browser) -> None:
    shown = text(await page.get("/images"))
    assert "builds a release with them, and makes it the active one; old releases are pruned" in shown
    assert "Run: sudo netboot-appliance image update" in shown
    context = page.context
    image = replace(context.config.image, test=True, canary="room 12")
    context.config = replace(context.config, image=image)
    why = f"the test of {NEW} failed: it hung"
    stopped = UpdateRun(context.clock() - 7200.0, "test", NEW, failed=True, words=why, hint="see the log")
    notes.keep_run(context.config.images, stopped)
    shown = text(await page.get("/images"))
    assert "boots it in an emulated PC, and gives it to room 12 first" in shown
    assert f"STOPPED at the stage test: {why} (do: see the log)" in shown


async def test_the_look_for_updates_is_shown_for_each_image(page: Browser) -> None:
    images, lab = page.context.config.images, "20261201-090000-cccccccc"
    (page.config.parent / "images" / "lab").mkdir(parents=True, exist_ok=True)
    publish(images, lab, "lab")
    release.activate(images, lab)
    at = page.context.clock() - 7200.0
    notes.keep_check(images, NEW, UpdateCheck(at, ()))
    notes.keep_check(images, lab, UpdateCheck(at, (PackageUpdate("openssl", "1", "2", security=True),)))
    shown = text(await page.get("/images"))
    assert "Packages of the active one: no updates" in shown
    assert "Packages of its active one: 1 update, 1 of security; checked" in shown


async def test_root_is_asked_and_its_answer_is_shown(page: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[ImageVerb, str, str]] = []
    answers = [RootAnswer("", done=f"active: {OLD}"), RootAnswer("", error="there is no release", hint="list them")]

    def ask(verb: ImageVerb, release: str, *, image: str) -> RootAnswer:
        asked.append((verb, release, image))
        return answers.pop(0)

    monkeypatch.setattr(request_files, "available", lambda _: True)
    monkeypatch.setattr(request_files, "ask", ask)
    assert await page.post("/images", verb="activate", release=OLD) == "/images"
    assert "there is no release list them" in text(await page.post("/images", 422, verb="activate", release="x"))
    assert asked == [(ImageVerb.ACTIVATE, OLD, ""), (ImageVerb.ACTIVATE, "x", "")]
    assert "no such thing to do" in text(await page.post("/images", 422, verb="delete"))
    page.scripts = True
    answers.append(RootAnswer("", done="the build has begun"))
    part = await page.post("/images", verb="build", image="lab")
    assert asked[-1] == (ImageVerb.BUILD, "", "lab")
    assert "the build has begun" in text(part)
    assert "<html" not in part


async def test_the_latest_build_is_shown_with_what_it_prints(page: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [BuildRecord("r1", True, [FIRST, STEP], [OutputLine(41, "Get:1 <b>linux</b>"), OutputLine(42, "")])]
    monkeypatch.setattr(build_unit, "latest", lambda: found[0])
    shown = await page.get("/images")
    assert "Stage 4 of 7: chroot" in text(shown)
    assert re.search(r", about \d+ d left", text(shown))
    assert "Unpacking <b>linux</b>" in text(shown)
    assert "<span>Get:1 &lt;b&gt;linux&lt;/b&gt;\n</span><span>\n</span></pre>" in shown
    assert "<b>linux" not in shown
    assert 'sse-connect="/images/live?since=r1.1.42"' in shown
    assert "Ends the build." in text(shown)
    assert "Take Debian's updates" not in text(shown)
    failure = {"error": {"message": "no space", "hint": "run netboot-appliance image prune"}, "ended": 1090.0}
    found[0] = replace(found[0], busy=False, progress=[FIRST, STEP, json.dumps(failure)])
    after = await page.get("/images")
    told = "The latest build made no release: no space run netboot-appliance image prune"
    assert f"{told} It had come to stage 4 of 7, chroot, in 90 s." in text(after)
    assert "Take Debian's updates" in text(after)
    assert "<code>netboot-appliance image prune</code>" in after
    assert "Get:1 <b>linux</b>" in text(after)
    found[0] = replace(found[0], progress=[FIRST, STEP, json.dumps({"releases": [NEW], "ended": 1300.0})])
    assert f"The latest build made {NEW} , in 5 min." in text(await page.get("/images"))


def test_only_the_unit_of_systemd_asks(page: Browser) -> None:
    assert not request_files.available(page.config, {"RUNTIME_DIRECTORY": "/run/netboot-appliance-control"})
    with pytest.raises(UserError, match="cannot write to"):
        request_files.ask(ImageVerb.ROLLBACK)
