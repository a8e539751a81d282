"""How many requests of one client are worked on: the rest of a flood is dropped and counted. PURE.

Firmware waits at least a second between DISCOVERs (iPXE; PXE ROMs and EDK2 four), and each of them may come by several
relays, with a REQUEST after it. A chaddr that asks more often is a fault or a flood in that PC's name. What is dropped
costs a microsecond. The bucket belongs to the chaddr, not to the address that a datagram came from: the PCs behind one
relay do not share one, and forged addresses bring nobody a second one.
"""

from services.ethernet import MacAddress
from services.rate_limit import RateLimit

BURST = 20
"""Requests at once: one stage of a boot, by four relays."""

RATE = 5.0
"""Requests a second, for as long as they come."""

MOST_CLIENTS = 4096
"""Clients whose requests are counted at the same time."""

REPORT_EVERY = 1.0
"""Seconds between two reports about dropped requests."""

_MOST_REPORTED = 256
"""Clients named in one report."""


class Appetite:
    """The requests of all clients, on all ports of one interface."""

    def __init__(self) -> None:
        self._limit = RateLimit[bytes](BURST, RATE, MOST_CLIENTS)
        self._dropped: dict[bytes, int] = {}
        self._report_at = 0.0

    def allows(self, chaddr: bytes, now: float) -> bool:
        """Whether one more request is worked on; one that is not is counted."""
        if self._limit.take(chaddr, now):
            return True
        dropped = self._dropped
        if chaddr in dropped or len(dropped) < _MOST_REPORTED:
            dropped[chaddr] = dropped.get(chaddr, 0) + 1
        return False

    def report(self, now: float) -> list[tuple[MacAddress, int]]:
        """The clients whose requests were dropped since the last report, and how many; nothing sooner than REPORT_EVERY
        after it."""
        if not self._dropped or now < self._report_at:
            return []
        self._report_at = now + REPORT_EVERY
        found = [(MacAddress.from_bytes(chaddr), count) for chaddr, count in self._dropped.items()]
        self._dropped.clear()
        return found
