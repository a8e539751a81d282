"""What differs between two releases, by their packages and sizes. Their files: `image diff`."""

import asyncio

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from appliance.control.web.forms import Box, Viewer
from appliance.control.web.templating import page
from appliance.errors import NotFoundError, UserError
from appliance.view.compared import compare
from appliance.view.image_diff import ReleaseDiff
from appliance.view.releases import Releases, gather_releases
from image.names import DEFAULT
from image.release import ReleaseError

router = APIRouter(prefix="/images/diff", include_in_schema=False)


@router.get("")
async def show(request: Request, box: Box, _: Viewer, old: str = "", new: str = "") -> Response:
    """Two releases beside each other; without a choice the previous and the active one."""
    found = await asyncio.to_thread(gather_releases, box.config)
    error, diff = None, None
    old, new = _chosen(found, old, new)
    try:
        diff = await asyncio.to_thread(_diff, found, old, new)
    except UserError as raised:
        error = raised
    idents = [each.id for each in found.releases]
    values = {"idents": idents, "old": old, "new": new, "error": error, "diff": diff, "here": "/images"}
    return page(request, "image_diff.html", 404 if isinstance(error, NotFoundError) else 200, **values)


def _chosen(found: Releases, old: str, new: str) -> tuple[str, str]:
    idents = [each.id for each in found.releases]
    new = new or found.having("active") or next(iter(idents), "")
    image = next((each.image for each in found.releases if each.id == new), DEFAULT)
    others = [ident for ident in idents if ident != new]
    return old or found.having("previous", image) or next(iter(others), new), new


def _diff(found: Releases, old: str, new: str) -> ReleaseDiff | None:
    if not found.releases:
        return None
    releases = {each.id: each for each in found.releases}
    for ident in (old, new):
        if ident not in releases:
            raise NotFoundError(f"there is no release {ident[:60]!r}", "choose two of the list")
    try:
        return compare(releases[old], releases[new], with_files=False)
    except ReleaseError as error:
        raise UserError(str(error), error.hint, code=1) from None
