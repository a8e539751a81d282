"""Requests of PCs that have never booted here, until there is time for them. PURE; times are in seconds.

Such a request costs a hundred times what it costs to read it, and anybody can make up MAC addresses of a wide allowed
range. If requests were handled as they come, a flood of them would fill the kernel's queue, and there it is a matter of
luck whose request is lost. So all are read at once, and wait here. Who asks again, as firmware does, comes first.
"""

from collections import OrderedDict
from typing import Generic, TypeVar

from services.recent_names import RecentNames

AGAIN_AFTER = 0.9
"""Seconds after which a client asks again. iPXE waits a second, PXE ROMs and EDK2 wait four."""

AGAIN_WITHIN = 120.0
"""Seconds within which it does. The longest pause in a series of DISCOVERs is 32 s."""

WAITS = 4.0
"""Seconds after which a request is dropped: by then the client has sent another one, or has given up."""

MOST = 4096
"""Requests that wait, of some 800 bytes each. A campus that is switched on for the first time fits in."""

FEW = 1024
"""As long as no more than these ask for the first time, or again, the one that came first is the next. With more than
that many will be dropped, and the latest is the next: its client is still waiting."""

_CHADDR = slice(4, 10)

_Request = TypeVar("_Request")


class WaitingRoom(Generic[_Request]):
    """The requests to one port. `heard` is shared by all ports of an interface."""

    def __init__(self, heard: RecentNames[bytes], again_after: float = AGAIN_AFTER) -> None:
        """`again_after`: see AGAIN_AFTER; on a port that is asked only after an answer on another one: 0, and then any
        client that was heard before asks again."""
        self.dropped = 0
        self._heard = heard
        self._again_after = again_after
        self._once: OrderedDict[bytes, tuple[float, _Request]] = OrderedDict()
        self._again: OrderedDict[bytes, tuple[float, _Request]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._once) + len(self._again)

    def enter(self, datagram: bytes, request: _Request, now: float) -> None:
        """Let a request wait. It takes the place of an earlier one of this client by the same relay."""
        # giaddr and chaddr, and the message type where nearly all clients have it.
        key = datagram[24:34] + datagram[240:243]
        first = self._heard.first(key[_CHADDR], now)
        side = self._again if now - first >= self._again_after and first < now else self._once
        for each in (self._once, self._again):
            each.pop(key, None)
        side[key] = now, request
        if len(self) > MOST:
            (self._once or self._again).popitem(last=False)
            self.dropped += 1

    def next(self, now: float) -> _Request | None:
        """The request to handle next; None: nobody waits."""
        for side in (self._again, self._once):
            while side and next(iter(side.values()))[0] < now - WAITS:
                side.popitem(last=False)
                self.dropped += 1
            if side:
                return side.popitem(last=len(side) > FEW)[1][1]
        return None

    def clear(self) -> None:
        """Send everybody away."""
        self._once.clear()
        self._again.clear()
