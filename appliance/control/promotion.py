"""Promoting a canary by hand, for the page and the API."""

import asyncio

from appliance.control.context import Context
from appliance.errors import OvertakenError
from appliance.images import request_files, rollout_table
from appliance.images.image_request import ImageVerb

BY_HAND = "sudo netboot-appliance image canary promote"


async def promote(box: Context, ident: str) -> str:
    """Have root make this canary the active release, and end it; returns what was done, in words. Raises UserError."""
    if not request_files.available(box.path):
        raise OvertakenError("this page cannot ask root here", f"run: {BY_HAND}")
    found = await asyncio.to_thread(request_files.ask, ImageVerb.ACTIVATE, ident)
    if found.error:
        raise OvertakenError(found.error, found.hint)
    await box.with_registry(lambda registry: rollout_table.activated(registry, ident, box.clock(), ends=True))
    return found.done
