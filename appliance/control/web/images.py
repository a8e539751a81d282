"""The live systems: which there are, which one PCs boot, and building the next one, with what it prints shown live."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from appliance.control import promotion
from appliance.control.context import Context
from appliance.control.web.build_watch import BuildWatch, seen
from appliance.control.web.forms import Administrator, Box, Viewer, answer, said, word
from appliance.control.web.open_page import stream
from appliance.control.web.templating import page
from appliance.errors import UserError
from appliance.images import build_unit, canary_edits, notes, request_files
from appliance.images.build_output import MOST_LINES
from appliance.images.canary_edits import USUAL_PROOF
from appliance.images.image_request import ImageVerb
from appliance.images.todays_recipe import cure, outdated
from appliance.images.update_check import RENEW
from appliance.view.build import build_view
from appliance.view.image_checks import check_words, update_run_words, update_stages_words
from appliance.view.image_states import ImageState, gather_image_states
from appliance.view.images import ReleaseView, release_views
from appliance.view.releases import Releases
from appliance.view.trials import gather_all_releases, gather_rollout
from image.names import DEFAULT

router = APIRouter(prefix="/images", include_in_schema=False)

_BY_HAND = {
    ImageVerb.BUILD: "sudo netboot-appliance image build {image}",
    ImageVerb.UPDATE: RENEW,
    ImageVerb.REBUILD: "sudo netboot-appliance image build --force {image}",
    ImageVerb.STOP: "sudo systemctl stop netboot-appliance-image",
    ImageVerb.ACTIVATE: "sudo netboot-appliance image activate {release}",
    ImageVerb.ROLLBACK: "sudo netboot-appliance image rollback {image}",
}


@dataclass(frozen=True, slots=True)
class ReleaseGroup:
    """The releases of one image, the newest first, and what there is to say of it, unless it is the default one.
    `previous`: to which it can be rolled back, or empty."""

    name: str
    state: ImageState | None
    releases: list[ReleaseView]
    previous: str


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

    async def ask() -> str:
        verb, release, image = _verb(word(form, "verb", 20)), word(form, "release", 60), word(form, "image", 40)
        if not request_files.available(box.path):
            raise UserError("this page cannot ask root here", f"run: {_by_hand(verb, release, image)}")
        said("image", who, verb=str(verb), release=release, image=image)
        found = await asyncio.to_thread(request_files.ask, verb, release, image=image)
        if found.error:
            raise UserError(found.error, found.hint, code=1)
        return found.done

    return await _edited(request, box, ask)


@router.post("/canary")
async def begin_canary(request: Request, box: Box, who: Administrator) -> Response:
    """Let a few PCs boot a release before all do."""
    form = await request.form()

    async def begin() -> str:
        ident, wanted = word(form, "release", 60), word(form, "for", 200)
        begun = await box.with_registry(
            lambda registry: canary_edits.begin(box.config, registry, ident, [wanted], USUAL_PROOF, box.clock())
        )
        said("canary begun", who, release=ident, chosen=wanted)
        many = len(begun.ranges)
        more = f" and {many - 3} more" if many > 3 else ""
        warning = f"; warning: {begun.warning}" if begun.warning else ""
        chosen = f"{', '.join(map(str, begun.ranges[:3]))}{more}"
        return f"{ident} at the next boot of {chosen}; all others boot {begun.base}{warning}"

    return await _edited(request, box, begin)


@router.post("/canary/promote")
async def promote_canary(request: Request, box: Box, who: Administrator) -> Response:
    """Make the canary the active release."""

    async def promote() -> str:
        canary = await box.with_registry(canary_edits.find_open)
        said("canary promoted", who, release=canary.release)
        return await promotion.promote(box, canary.release)

    return await _edited(request, box, promote)


@router.post("/canary/cancel")
async def cancel_canary(request: Request, box: Box, who: Administrator) -> Response:
    """End the canary: its PCs get the active release again."""

    async def cancel() -> str:
        canary = await box.with_registry(lambda registry: canary_edits.cancel(registry, box.clock()))
        said("canary cancelled", who, release=canary.release)
        return f"the canary {canary.release} has ended; its PCs boot {canary.base}"

    return await _edited(request, box, cancel)


async def _edited(request: Request, box: Context, act: Callable[[], Awaitable[str]]) -> Response:
    """Do it, and show the images with what was done, or what was wrong."""
    error, done = None, ""
    try:
        done = await act()
    except UserError as raised:
        error = raised
    values = await _values(box)
    return answer(request, "images_main.html", "images.html", "/images", error, done=done, **values)


def _verb(text: str) -> ImageVerb:
    try:
        return ImageVerb(text)
    except ValueError:
        raise UserError("there is no such thing to do", "nothing was changed") from None


def _by_hand(verb: ImageVerb, release: str = "", image: str = "") -> str:
    return _BY_HAND[verb].format(release=release, image="" if image == DEFAULT else image).strip()


async def _values(box: Context) -> dict[str, Any]:
    found, build, rollout, others = await asyncio.gather(
        box.with_registry(lambda registry: gather_all_releases(box.config, registry)),
        asyncio.to_thread(lambda: build_view(build_unit.latest(), box.clock())),
        box.with_registry(lambda registry: gather_rollout(box.config, registry, box.clock())),
        box.with_registry(lambda registry: gather_image_states(box.config, registry.allowlist(), box.clock())),
    )
    views = release_views(found)
    known = dict.fromkeys((DEFAULT, *(each.name for each in others), *(each.image for each in views)))
    states = {each.name: each for each in others}
    groups = [
        ReleaseGroup(
            name, states.get(name), [each for each in views if each.image == name], found.having("previous", name)
        )
        for name in known
    ]
    return {
        "releases": views,
        "groups": groups,
        "broken": found.broken,
        "outdated": await asyncio.to_thread(_outdated, box, found),
        "cure": cure(),
        "updates": _updates(found, box.clock()),
        "renew": RENEW,
        "update_does": update_stages_words(box.config.image.test, box.config.image.canary),
        "update_run": await asyncio.to_thread(_latest_update, box),
        "build": build,
        "canary": rollout.canary_words(box.clock()),
        "trial": rollout.canary.release if rollout.canary and rollout.canary.ended is None else "",
        "promote": promotion.BY_HAND,
        "since": seen(build).ident,
        "most_lines": MOST_LINES,
        "asks": request_files.available(box.path),
        "by_hand": _by_hand,
        "here": "/images",
    }


def _outdated(box: Context, found: Releases) -> str:
    ident = found.having("active")
    return outdated(box.config, next((each for each in found.releases if each.id == ident), None))


def _latest_update(box: Context) -> str:
    """How the latest `image update` ended, in words."""
    run = notes.latest_run(box.config.images)
    return update_run_words(run, box.clock()) if run else ""


def _updates(found: Releases, now: float) -> str:
    """The latest look for updates of the active release, in words."""
    check = found.checks.get(found.having("active"))
    return check_words(check, now) if check else ""
