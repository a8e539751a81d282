"""Addresses that DHCPREQUESTs claim for a client, until the kernel's neighbour table confirms them.

Anybody can broadcast a DHCPREQUEST with somebody else's MAC in it, and addresses decide what NFS exports to whom. So on
the link a claim counts only once the neighbour table shows that MAC at that address. Behind a router there is no such
table, so there a claim counts for nothing: a request over TCP shows where the client is (Box.script_fetched).
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
# More than one large room switched on at once. A flood of forged requests can fill this, and nothing else.
_MOST_CLAIMS = 5000
# A lookup and a nudge take 0.03 ms: a flood may take a tenth of the time from the other services, not all of it.
_LOOKUPS_A_CHECK = 300


@dataclass(frozen=True, slots=True)
class _Claim:
    seen: AddressSeen
    until: float
    nudge_at: float


class AddressClaims:
    """Waiting claims; `confirmed` is called with each one that the neighbour table confirms."""

    def __init__(self, neighbours: Neighbours, confirmed: Callable[[AddressSeen], None]) -> None:
        self._neighbours = neighbours
        self._confirmed = confirmed
        self._waiting: dict[AddressSeen, _Claim] = {}
        self.some = asyncio.Event()
        """Set while claims wait."""

    def add(self, seen: AddressSeen, now: float) -> None:
        """Take a claim, unless it is from behind a router; `now` is monotonic, in seconds."""
        if self._neighbours.on_link(seen.address) and len(self._waiting) < _MOST_CLAIMS:
            self._waiting[seen] = _Claim(seen, now + _GIVEN_UP_AFTER, nudge_at=now)
            self.some.set()

    def check(self, now: float) -> None:
        """Look up the addresses whose last lookup is longest ago; call this ten times a second while claims wait."""
        for seen in list(islice(self._waiting, _LOOKUPS_A_CHECK)):
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
