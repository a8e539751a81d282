"""The live systems: which there are, which one PCs boot, and building the next one, with what it prints shown live."""

import asyncio
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from appliance.control.context import Context
from appliance.control.web.build_watch import BuildWatch, seen
from appliance.control.web.forms import Administrator, Box, Viewer, answer, said, word
from appliance.control.web.open_page import stream
from appliance.control.web.templating import page
from appliance.errors import UserError
from appliance.images import build_unit, request_files
from appliance.images.build_output import MOST_LINES
from appliance.images.image_request import ImageVerb
from appliance.images.todays_recipe import CURE, outdated
from appliance.images.update_check import RENEW
from appliance.view.build import build_view
from appliance.view.facts import Releases
from appliance.view.image_state import check_words
from appliance.view.images import release_views
from appliance.view.trials import gather_all_releases, gather_rollout

router = APIRouter(prefix="/images", include_in_schema=False)

_BY_HAND = {
    ImageVerb.BUILD: "sudo netboot-appliance image build",
    ImageVerb.UPDATE: "sudo netboot-appliance image build --update",
    ImageVerb.REBUILD: "sudo netboot-appliance image build --force",
    ImageVerb.STOP: "sudo systemctl stop netboot-appliance-image",
    ImageVerb.ACTIVATE: "sudo netboot-appliance image activate {}",
    ImageVerb.ROLLBACK: "sudo netboot-appliance image rollback",
}


@router.get("")
async def show(request: Request, box: Box, _: Viewer) -> Response:
    """The releases, and the latest build."""
    return page(request, "images.html", error=None, done="", **await _values(box))


@router.get("/live")
async def follow(request: Request, _: Viewer, since: str = "") -> Response:
    """What the latest build does, for a page that shows it."""
    watch: BuildWatch = request.app.state.builds
    return stream(request, since, watch.listen, lambda: watch.ident)


@router.post("")
async def change(request: Request, box: Box, who: Administrator) -> Response:
    """Have root build, activate or roll back."""
    form = await request.form()
    error, done = None, ""
    try:
        verb, release = _verb(word(form, "verb", 20)), word(form, "release", 60)
        if not request_files.available(box.path):
            raise UserError("this page cannot ask root here", f"run: {_BY_HAND[verb].format(release)}")
        said("image", who, verb=str(verb), release=release)
        found = await asyncio.to_thread(request_files.ask, verb, release)
        if found.error:
            raise UserError(found.error, found.hint, code=1)
        done = found.done
    except UserError as raised:
        error = raised
    values = await _values(box)
    return answer(request, "images_main.html", "images.html", "/images", error, done=done, **values)


def _verb(text: str) -> ImageVerb:
    try:
        return ImageVerb(text)
    except ValueError:
        raise UserError("there is no such thing to do", "nothing was changed") from None


async def _values(box: Context) -> dict[str, Any]:
    found, build, rollout = await asyncio.gather(
        box.with_registry(lambda registry: gather_all_releases(box.config, registry)),
        asyncio.to_thread(lambda: build_view(build_unit.latest(), box.clock())),
        box.with_registry(lambda registry: gather_rollout(box.config, registry, box.clock())),
    )
    return {
        "releases": release_views(found),
        "broken": found.broken,
        "previous": _previous(found),
        "outdated": await asyncio.to_thread(_outdated, box, found),
        "cure": CURE,
        "updates": _updates(found, box.clock()),
        "renew": RENEW,
        "build": build,
        "canary": rollout.canary_words(box.clock()),
        "since": seen(build).ident,
        "most_lines": MOST_LINES,
        "asks": request_files.available(box.path),
        "commands": {str(verb): command for verb, command in _BY_HAND.items()},
        "here": "/images",
    }


def _outdated(box: Context, found: Releases) -> str:
    active = next((each for each in found.releases if found.states.get(each.id) == "active"), None)
    return outdated(box.config, active)


def _updates(found: Releases, now: float) -> str:
    """The latest look for updates of the active release, in words."""
    active = next((ident for ident, state in found.states.items() if state == "active"), "")
    check = found.checks.get(active)
    return check_words(check, now) if check else ""


def _previous(found: Releases) -> str:
    return next((ident for ident, state in found.states.items() if state == "previous"), "")
