"""`/api/v1/images`: the releases of the live system."""

import asyncio
from dataclasses import dataclass

from fastapi import APIRouter

from appliance.control.api.answers import LOOKS, InContext, problems
from appliance.control.api.quick_route import QuickRoute
from appliance.view.facts import gather_releases
from appliance.view.images import ReleaseView, release_views

router = APIRouter(prefix="/images", tags=["images"], dependencies=LOOKS, route_class=QuickRoute)


@dataclass(frozen=True, slots=True)
class ReleaseList:
    """The releases, newest first, and what is wrong with those that cannot be used, in words."""

    images: list[ReleaseView]
    broken: list[str]


@router.get("", responses=problems())
async def list_images(context: InContext) -> ReleaseList:
    """The releases of the live system, and which one is active."""
    found = await asyncio.to_thread(gather_releases, context.config.images)
    return ReleaseList(release_views(found), [str(error) for error in found.broken])
