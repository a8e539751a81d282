"""Images on the page: releases, a build that is followed, and what is asked of root."""

import json

import pytest

from appliance.errors import UserError
from appliance.images import build_unit, request_files
from appliance.images.image_request import ImageAnswer, ImageVerb
from appliance.view.build import MOST_STEPS, build_view
from tests.unit.appliance.cli.box_with_releases import NEW, OLD
from tests.unit.appliance.control.web.browser import Browser, text

STEP = json.dumps({"progress": {"stage": "chroot", "number": 4, "step": "Unpacking <b>linux</b>", "elapsed": 61.4}})


async def test_the_releases_and_by_hand_what_to_run(page: Browser) -> None:
    shown = text(await page.get("/images"))
    assert "2 releases" in shown
    assert f"{NEW} active" in shown
    assert f"{OLD} previous" in shown
    assert "not of today's recipe: another version of netboot-appliance built it. Build it below" in shown
    assert f"This page cannot ask root here. Run: sudo netboot-appliance image activate {OLD}" in shown
    assert f"PCs boot {OLD} again, at their next power-on." in shown
    refused = text(await page.post("/images", 422, verb="rollback", release=""))
    assert "this page cannot ask root here run: sudo netboot-appliance image rollback" in refused


async def test_root_is_asked_and_its_answer_is_shown(page: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[ImageVerb, str]] = []
    answers = [ImageAnswer("", done=f"active: {OLD}"), ImageAnswer("", error="there is no release", hint="list them")]

    def ask(verb: ImageVerb, release: str) -> ImageAnswer:
        asked.append((verb, release))
        return answers.pop(0)

    monkeypatch.setattr(request_files, "available", lambda _: True)
    monkeypatch.setattr(request_files, "ask", ask)
    assert await page.post("/images", verb="activate", release=OLD) == "/images"
    assert "there is no release list them" in text(await page.post("/images", 422, verb="activate", release="x"))
    assert asked == [(ImageVerb.ACTIVATE, OLD), (ImageVerb.ACTIVATE, "x")]
    assert "no such thing to do" in text(await page.post("/images", 422, verb="delete"))
    page.scripts = True
    answers.append(ImageAnswer("", done="the build has begun"))
    part = await page.post("/images", verb="build")
    assert "the build has begun" in text(part)
    assert "<html" not in part


async def test_a_build_is_followed_to_its_end(page: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ['{"invocation": "x"}', STEP]
    state = [True]
    monkeypatch.setattr(build_unit, "last_lines", lambda: (state[0], lines))
    shown = await page.get("/images/build")
    assert "A build is under way: chroot, 61 s" in text(shown)
    assert 'hx-trigger="every 1s"' in shown
    assert "Unpacking <b>linux</b>" in text(shown)
    assert "<b>linux" not in shown
    state[0] = False
    lines.append(json.dumps({"error": {"message": "no space", "hint": "make room", "tail": ["E: <i>disk</i>"]}}))
    after = await page.get("/images/build")
    assert "The latest build failed: no space make room E: <i>disk</i>" in text(after)
    assert "every 1s" not in after
    assert "<i>" not in after
    lines[-1] = json.dumps({"release": NEW})
    assert f"The latest build made {NEW} ." in text(await page.get("/images/build"))


def test_what_a_build_wrote_is_bounded_and_read_as_far_as_it_can_be() -> None:
    assert build_view(False, []) is None
    assert build_view(False, ["[" * 100_000, "null", "{}", '{"progress": {"elapsed": "x"}}']) is None
    many = build_view(True, [STEP] * 5000)
    assert many is not None
    assert len(many.steps) == MOST_STEPS
    # The end of the build before says nothing about one that has begun.
    assert build_view(True, [json.dumps({"release": NEW})]) == build_view(True, [])


def test_only_the_unit_of_systemd_asks(page: Browser) -> None:
    assert not request_files.available(page.config, {"RUNTIME_DIRECTORY": "/run/netboot-appliance-control"})
    with pytest.raises(UserError, match="cannot write to"):
        request_files.ask(ImageVerb.ROLLBACK, "", page.config / "none")
