"""How many connections there may be at once: in all, and from one address. Counts them; opens and closes none."""

import resource
from ipaddress import IPv4Address

MOST_CONNECTIONS = 2048
MOST_PER_CLIENT = 32

_DESCRIPTORS_EACH = 2  # the socket and the file
_OTHER_DESCRIPTORS = 250  # of everything else in the process


class ConnectionLimits:
    """The connections of one server."""

    def __init__(self) -> None:
        self._count = 0
        self._per_address: dict[IPv4Address, int] = {}
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        limited = soft != resource.RLIM_INFINITY
        # Never so many that accept(2) fails: a client that is not accepted is not told.
        self._most = max((soft - _OTHER_DESCRIPTORS) // _DESCRIPTORS_EACH, 1) if limited else MOST_CONNECTIONS

    def allows(self, address: IPv4Address) -> bool:
        """Whether this address may have one more."""
        return self._per_address.get(address, 0) < MOST_PER_CLIENT

    def reached(self) -> bool:
        """Whether one has to be closed before another may be opened."""
        return self._count >= min(MOST_CONNECTIONS, self._most)

    def opened(self, address: IPv4Address) -> None:
        """One more from there."""
        self._count += 1
        self._per_address[address] = self._per_address.get(address, 0) + 1

    def closed(self, address: IPv4Address) -> None:
        """One less from there."""
        self._count -= 1
        self._per_address[address] -= 1
        if not self._per_address[address]:
            del self._per_address[address]
