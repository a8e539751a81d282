"""The stream of an open page: from where it asks, what it has seen, and how long its person may look."""

from collections.abc import Callable

from starlette.requests import Request

from appliance.control.access.guard import look_up
from appliance.control.fleet.stream import EventStream, OpenPage

_LONGEST_IDENT = 100


def stream(
    request: Request,
    since: str,
    listen: Callable[[str, str], OpenPage],
    ident: Callable[[], str],
    missed: Callable[[str], list[tuple[str, str]]] = lambda _: [],
) -> EventStream:
    """Server-sent events for the page that asks. `since` is what it has seen when it was loaded; a browser that comes
    back knows better. `listen` gets the address and that; the rest is as EventStream has it."""
    host = request.client.host if request.client else ""
    seen = request.headers.get("Last-Event-ID", since)[:_LONGEST_IDENT]

    async def may_look() -> bool:
        return await look_up(request) is not None

    return EventStream(lambda: listen(host, seen), ident, lambda: missed(seen), may_look)
