"""How many logins may be tried: for each address, and in all. Decided before the slow hash is computed.

A crowd of addresses, which one machine can have, uses up what there is for all. So addresses from which somebody has
logged in since the start have their own attempts, and no part in the others'.
"""

import asyncio
import time

from appliance.config.menu_password import Scrypt
from services.rate_limit import RateLimit

OF_ONE, OF_ONE_SECONDS = 5, 300.0
OF_ALL, OF_ALL_SECONDS = 30, 60.0
_ADDRESSES = 4096
_KNOWN = 256
_TOLD_SECONDS = 60.0


class LoginAttempts:
    """The attempts of the last minutes: 5 in 5 minutes from an address, 30 a minute of all that have not logged in
    before. One is checked at a time, in a thread."""

    def __init__(self) -> None:
        self._of_one: RateLimit[str] = RateLimit(OF_ONE, OF_ONE / OF_ONE_SECONDS, _ADDRESSES)
        self._of_all: RateLimit[None] = RateLimit(OF_ALL, OF_ALL / OF_ALL_SECONDS, 1)
        self._told: RateLimit[None] = RateLimit(1, 1 / _TOLD_SECONDS, 1)
        self._known: dict[str, None] = {}
        self._one_at_a_time = asyncio.Lock()

    def are_news(self) -> bool:
        """Whether the log should say that there were too many: once a minute, or it could be flooded."""
        return self._told.take(None, time.monotonic())

    async def check(self, address: str, wanted: Scrypt, password: str) -> bool | None:
        """Whether the password is the wanted one; None if there were too many attempts."""
        now = time.monotonic()
        if not self._of_one.take(address, now):
            return None
        known = address in self._known
        if not known and not self._of_all.take(None, now):
            self._of_one.give_back(address, now, 1)
            return None
        async with self._one_at_a_time:
            right = await asyncio.to_thread(wanted.matches, password)
        if right:
            self._of_one.give_back(address, now, 1)
            if not known:
                self._of_all.give_back(None, now, 1)
                self._remember(address)
        return right

    def _remember(self, address: str) -> None:
        if len(self._known) >= _KNOWN:
            del self._known[next(iter(self._known))]
        self._known[address] = None
