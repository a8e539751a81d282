"""Whether a password opens a locked menu entry, and how many attempts are allowed.

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
"""Seconds for which a wrong password counts."""
MOST_OF_ONE = 5
MOST_OF_ALL = 30
"""Wrong passwords allowed within that time, for one PC and for all: a MAC address is easily changed."""


class PasswordAttempts:
    """The attempts of the last minutes. `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._attempts: deque[tuple[float, MacAddress]] = deque()
        self._one_at_a_time = asyncio.Lock()

    async def check(self, mac: MacAddress, wanted: Scrypt, password: str | None) -> Ignore | None:
        """None if `password` is the `wanted` one, else why the entry stays locked."""
        if password is None:
            return Ignore(Reason.PASSWORD_NEEDED)
        now = self._clock()
        while self._attempts and now - self._attempts[0][0] >= WITHIN:
            self._attempts.popleft()
        if len(self._attempts) >= MOST_OF_ALL or sum(who == mac for _, who in self._attempts) >= MOST_OF_ONE:
            return Ignore(Reason.PASSWORDS_BLOCKED)
        # It counts as wrong until proven right: many attempts at once get no further than the same in sequence.
        attempt = (now, mac)
        self._attempts.append(attempt)
        async with self._one_at_a_time:
            right = await asyncio.to_thread(wanted.matches, password)
        if not right:
            return Ignore(Reason.PASSWORD_WRONG)
        if attempt in self._attempts:
            self._attempts.remove(attempt)
        return None
