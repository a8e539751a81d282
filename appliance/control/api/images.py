"""`/api/v1/images`: the releases of the live system, and what root is asked to do with them."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from appliance.control import promotion
from appliance.control.access.guard import administrator
from appliance.control.api.answers import LOOKS, InContext, problems
from appliance.control.api.quick_route import QuickRoute
from appliance.errors import OvertakenError
from appliance.images import build_unit, canary_edits, request_files
from appliance.images.canary_edits import USUAL_PROOF
from appliance.images.image_request import ImageVerb
from appliance.registry.database import Registry
from appliance.view.build import BuildView, build_view
from appliance.view.canary import CanaryView, RolloutState
from appliance.view.image_states import ImageState, gather_image_states
from appliance.view.images import ReleaseView, release_views
from appliance.view.releases import Releases
from appliance.view.trials import gather_all_releases, gather_rollout

router = APIRouter(prefix="/images", tags=["images"], dependencies=LOOKS, route_class=QuickRoute)


@dataclass(frozen=True, slots=True)
class ReleaseList:
    """The releases, newest first; what is wrong with those that cannot be used, in words; the canary that is open or
    ended last; and how the images beside the default one are."""

    images: list[ReleaseView]
    broken: list[str]
    canary: CanaryView | None
    others: list[ImageState]


@dataclass(frozen=True, slots=True)
class LatestBuild:
    """The build that is at work, or the latest one; null if there was none."""

    build: BuildView | None


@dataclass(frozen=True, slots=True)
class ImageChange:
    """What root did, in words."""

    done: str


class WantedImage(BaseModel):
    """What to do. `release` is for `activate`; `image` for builds (empty: of all images) and `rollback` (empty: of the
    default one)."""

    model_config = ConfigDict(extra="forbid")
    verb: ImageVerb
    release: Annotated[str, Field(pattern=r"^([0-9]{8}-[0-9]{6}-[0-9a-f]{8})?$", description="The `id` of one.")] = ""
    image: Annotated[str, Field(max_length=31, pattern=r"^[a-z0-9-]*$", description="The name of an image.")] = ""


class WantedCanary(BaseModel):
    """Who is to boot which release first."""

    model_config = ConfigDict(extra="forbid")
    release: Annotated[str, Field(pattern=r"^[0-9]{8}-[0-9]{6}-[0-9a-f]{8}$", description="The `id` of one.")]
    chosen: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=200)]],
        Field(min_length=1, max_length=20, description="Labels, MAC addresses, ranges, or `1-per-label`."),
    ]


@router.get("", responses=problems())
async def list_images(context: InContext) -> ReleaseList:
    """The releases of the live system, and which one is active."""

    def read(registry: Registry) -> tuple[Releases, RolloutState, Sequence[ImageState]]:
        config, now = context.config, context.clock()
        others = gather_image_states(config, registry.allowlist(), now)
        return gather_all_releases(config, registry), gather_rollout(config, registry, now), others

    found, rollout, others = await context.with_registry(read)
    broken = [str(error) for error in found.broken]
    return ReleaseList(release_views(found), broken, rollout.canary, list(others))


@router.get("/build", responses=problems())
async def show_build(context: InContext) -> LatestBuild:
    """The latest build of an image: how far it is, what its programs have printed last, and how it ended."""
    return LatestBuild(await asyncio.to_thread(lambda: build_view(build_unit.latest(), context.clock())))


@router.post("", responses=problems(400, 409), dependencies=[Depends(administrator)])
async def change_images(context: InContext, wanted: WantedImage) -> ImageChange:
    """Have root begin a build, stop it, activate a release, or go back to the one before.

    PCs boot the active release at their next power-on. A build takes minutes: `/images/build` follows it.
    """
    if not request_files.available(context.path):
        raise OvertakenError("this page cannot ask root here", "see: netboot-appliance image --help")
    found = await asyncio.to_thread(request_files.ask, wanted.verb, wanted.release, image=wanted.image)
    if found.error:
        raise OvertakenError(found.error, found.hint)
    return ImageChange(found.done)


@router.post("/canary", responses=problems(400, 404, 409), dependencies=[Depends(administrator)])
async def begin_canary(context: InContext, wanted: WantedCanary) -> ImageChange:
    """Let a few PCs boot a release before all do. It is promoted when all that boot it compute within an hour, and
    taken back otherwise."""
    config, now = context.config, context.clock()
    begun = await context.with_registry(
        lambda registry: canary_edits.begin(config, registry, wanted.release, wanted.chosen, USUAL_PROOF, now)
    )
    many = f"{len(begun.ranges)} {'range' if len(begun.ranges) == 1 else 'ranges'} of PCs"
    warning = f"; warning: {begun.warning}" if begun.warning else ""
    return ImageChange(f"{wanted.release} at the next boot of {many}; all others boot {begun.base}{warning}")


@router.post("/canary/promote", responses=problems(404, 409), dependencies=[Depends(administrator)])
async def promote_canary(context: InContext) -> ImageChange:
    """Have root make the canary the active release, whatever its PCs have shown."""
    canary = await context.with_registry(canary_edits.find_open)
    return ImageChange(await promotion.promote(context, canary.release))


@router.delete("/canary", responses=problems(404), dependencies=[Depends(administrator)])
async def cancel_canary(context: InContext) -> ImageChange:
    """End the canary: at their next boot its PCs get the active release again."""
    canary = await context.with_registry(lambda registry: canary_edits.cancel(registry, context.clock()))
    return ImageChange(f"the canary {canary.release} has ended; its PCs boot {canary.base}")
