"""Addresses that a client's DHCPREQUEST claims, until the kernel's neighbour table confirms them.

Anybody can broadcast a DHCPREQUEST with a foreign MAC in it, and an address decides what NFS exports to whom. So on the
link a claim counts only once the neighbour table shows that MAC at that address; behind a router there is no such
table, and the configured networks are the bound.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice

from services.events import AddressSeen
from services.linux.neighbours import Neighbours

# The client configures its address after the ACK, and asks us something within seconds.
_GIVEN_UP_AFTER = 60.0
_NUDGE_EVERY = 1.0
# More than one large room switched on at once; a flood of forged requests fills this, and then only it.
_MOST = 5000
# A look and a nudge take 0.03 ms: a flood may cost the other services a tenth of the time, not all of it.
_LOOKS = 300


@dataclass(frozen=True, slots=True)
class _Claim:
    seen: AddressSeen
    until: float
    nudge_at: float


class AddressClaims:
    """Claims that wait; `confirmed` is called with each that the neighbour table bears out."""

    def __init__(self, neighbours: Neighbours, confirmed: Callable[[AddressSeen], None]) -> None:
        self._neighbours = neighbours
        self._confirmed = confirmed
        self._waiting: dict[AddressSeen, _Claim] = {}
        self.some = asyncio.Event()
        """Set while there are any."""

    def add(self, seen: AddressSeen, now: float) -> None:
        """Take a claim; `now` is monotonic, in seconds. One off the link is confirmed at once."""
        if not self._neighbours.on_link(seen.address):
            self._confirmed(seen)
        elif len(self._waiting) < _MOST:
            self._waiting[seen] = _Claim(seen, now + _GIVEN_UP_AFTER, nudge_at=now)
            self.some.set()

    def check(self, now: float) -> None:
        """Look the addresses up that have waited longest since their last look; to be called ten times a second
        while there are some."""
        for seen in list(islice(self._waiting, _LOOKS)):
            claim = self._waiting.pop(seen)
            if self._neighbours.mac_of(seen.address) == seen.mac:
                self._confirmed(seen)
            elif now < claim.until:
                if now >= claim.nudge_at:
                    self._neighbours.nudge(seen.address)
                    claim = replace(claim, nudge_at=now + _NUDGE_EVERY)
                self._waiting[seen] = claim
        if not self._waiting:
            self.some.clear()
