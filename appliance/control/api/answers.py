"""What all answers of the API have in common: errors, bounds of pages, MAC addresses in paths."""

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Path, Query, Request

from appliance.control.access.guard import viewer
from appliance.control.access.pace import paced
from appliance.control.context import Context, context_of
from appliance.errors import UserError

MOST = 500
"""Items of a page."""

_MAC = (
    r"^([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}$|^([0-9A-Fa-f]{2}-){5}[0-9A-Fa-f]{2}$|^([0-9A-Fa-f]{4}\.){2}[0-9A-Fa-f]{4}$"
    r"|^[0-9A-Fa-f]{12}$"
)
HIGHEST_NUMBER = (1 << 63) - 1
"""What SQLite can count to."""

LATEST_MOMENT = 253_402_300_799.0
"""The end of the year 9999, in seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a request got no other answer, and what to do about it. `hint` may be empty."""

    message: str
    hint: str


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The errors of a route, for its description; those that every route has are among them."""
    always = 401, 403, 422, 429, 503
    return {status: {"model": Problem, "description": _WORDS[status]} for status in (*always, *statuses)}


_WORDS = {
    400: "The body cannot be read. Nothing was changed.",
    401: "No token, or one that is not known: `netboot-appliance control token add NAME`.",
    403: "The token may only look, or this address may not connect.",
    404: "There is no such thing.",
    409: "It cannot be done as things are by now.",
    422: "The request is not valid. Nothing was changed.",
    429: "Too many requests: `Retry-After` says how many seconds to wait. Nothing was changed.",
    503: "The registry cannot be used, or the work failed.",
}


def assert_known_parameters(request: Request) -> None:
    """Refuse a query that names what the route does not have: a slip must not mean "all". Raises UserError."""
    known = {each.alias for each in request.scope["route"].dependant.query_params}
    if unknown := sorted(set(request.query_params) - known):
        hint = f"there are: {', '.join(sorted(known))}" if known else "there is none"
        raise UserError(f"there is no parameter {unknown[0]!r}", hint)


LOOKS = [Depends(paced), Depends(viewer), Depends(assert_known_parameters)]
"""What every route depends on."""

InContext = Annotated[Context, Depends(context_of)]
MacInPath = Annotated[
    str, Path(pattern=_MAC, description="A MAC address.", examples=["52:54:00:aa:bb:cc"], min_length=12, max_length=17)
]
MacInQuery = Annotated[
    str | None, Query(pattern=_MAC, description="Only those of this PC.", examples=["52:54:00:aa:bb:cc"])
]
AfterMac = Annotated[
    str | None, Query(pattern=_MAC, description="The `next` of the page before.", examples=["52:54:00:aa:bb:cc"])
]
Limit = Annotated[int, Query(ge=1, le=MOST, description="How many: the answer may have fewer.")]
