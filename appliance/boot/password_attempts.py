"""Whether a password opens a locked menu entry, and how often one may be tried.

A check is slow on purpose (appliance/config/menu_password.py). It runs in a thread, one at a time, so that transfers
go on.
"""

import asyncio
from collections import deque
from collections.abc import Callable

from appliance.config.menu_password import Scrypt
from services.decision import Ignore, Reason
from services.ethernet import MacAddress

WITHIN = 300.0
"""Seconds that a wrong password counts."""
MOST_OF_ONE = 5
MOST_OF_ALL = 30
"""Wrong passwords within that time, of one PC and of all: a MAC address is easily changed."""


class PasswordAttempts:
    """The tries of the last minutes. `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._tries: deque[tuple[float, MacAddress]] = deque()
        self._one_at_a_time = asyncio.Lock()

    async def check(self, mac: MacAddress, wanted: Scrypt, password: str | None) -> Ignore | None:
        """None if `password` is the one that is `wanted`, else why the entry stays locked."""
        if password is None:
            return Ignore(Reason.PASSWORD_NEEDED)
        now = self._clock()
        while self._tries and now - self._tries[0][0] >= WITHIN:
            self._tries.popleft()
        if len(self._tries) >= MOST_OF_ALL or sum(who == mac for _, who in self._tries) >= MOST_OF_ONE:
            return Ignore(Reason.PASSWORDS_BLOCKED)
        # It counts as wrong until it has proved right: tries that come at once may not be more than those in turn.
        counted = (now, mac)
        self._tries.append(counted)
        async with self._one_at_a_time:
            right = await asyncio.to_thread(wanted.matches, password)
        if not right:
            return Ignore(Reason.PASSWORD_WRONG)
        if counted in self._tries:
            self._tries.remove(counted)
        return None
