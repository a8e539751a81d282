"""How many requests of programs are answered, for each token and each address: `/api/v1` and `/metrics`.

A program that asks for several things every second notices nothing; one in a loop waits, and costs the boots nothing.
"""

import time

from starlette.requests import Request

from appliance.control.access.guard import GUEST, RefusedError, visitor_of
from services.rate_limit import RateLimit

BURST, RATE = 100, 10.0
"""Requests at once, and more each second, of one token; or of one address, of requests without one."""

ADDRESS_BURST, ADDRESS_RATE = 500, 50.0
"""Of one address in all: those with wrong tokens too, before the registry is asked."""

_MOST = 4096
_WAIT = "1"


class RequestPace:
    """What was asked in the last seconds."""

    def __init__(self, burst: float = BURST, address_burst: float = ADDRESS_BURST) -> None:
        self._callers: RateLimit[str] = RateLimit(burst, RATE, _MOST)
        self._addresses: RateLimit[str] = RateLimit(address_burst, ADDRESS_RATE, _MOST)

    async def check(self, request: Request, now: float) -> None:
        """Raises RefusedError if this request is one too many; `now` in monotonic seconds."""
        address = request.client.host if request.client else ""
        if not self._addresses.take(address, now):
            raise _too_many("this address")
        visitor = await visitor_of(request)
        token = visitor is not None and visitor.name != GUEST and not visitor.session
        caller, words = (visitor.name, "this token") if visitor and token else (f"@{address}", "this address")
        if not self._callers.take(caller, now):
            raise _too_many(words)


async def paced(request: Request) -> None:
    """A dependency: refuse what is too much."""
    pace: RequestPace = request.app.state.pace
    await pace.check(request, time.monotonic())


def _too_many(words: str) -> RefusedError:
    message = f"too many requests of {words}: {RATE:.0f} a second are answered"
    return RefusedError(429, message, "ask again in a second", **{"Retry-After": _WAIT})
