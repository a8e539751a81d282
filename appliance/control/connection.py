"""One connection to the page: uvicorn's, by h11, with bounds on what its peer may make it wait for or keep.

uvicorn itself bounds only how long a connection may be idle after its first request.
"""

import asyncio
import fcntl
import struct
import termios
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 20.0
"""For the head of a request, from the opening of the connection or the end of the answer before."""
BODY_SECONDS = 60.0
UNREAD_SECONDS = 60.0
"""How long a peer may leave parts of an answer unread."""
LARGEST_HEAD = 32 << 10
"""Bytes of a request's head."""
_LOOK = 2.5  # seconds between two looks at a connection


class PageConnection(H11Protocol):
    """`when_closed` is called once, if the connection was `made`."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.made = False
        self.when_closed: Callable[[], None] = lambda: None
        self._waits: object = None
        self._since = 0.0
        self._unread_since: float | None = None
        self._watch: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to watch it."""
        self.made = True
        super().connection_made(transport)
        self._since = self.loop.time()
        self._watch = self.loop.call_later(_LOOK, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """End all that belongs to it."""
        if self._watch is not None:
            self._watch.cancel()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)
        self.when_closed()

    def _look(self) -> None:
        self._watch = self.loop.call_later(_LOOK, self._look)
        now = self.loop.time()
        if self._is_late(now) or self._is_unread(now):
            self.transport.abort()

    def _is_late(self, now: float) -> bool:
        """Whether the peer has not sent in time what it has to send."""
        cycle = self.cycle
        head = cycle is None or cycle.response_complete
        waits = (cycle, head) if head or cycle.more_body else None
        if waits != self._waits:
            self._waits, self._since = waits, now
        return waits is not None and now - self._since > (HEAD_SECONDS if head else BODY_SECONDS)

    def _is_unread(self, now: float) -> bool:
        if not _unread(self.transport):
            self._unread_since = None
        elif self._unread_since is None:
            self._unread_since = now
        return self._unread_since is not None and now - self._unread_since > UNREAD_SECONDS


def _unread(transport: asyncio.Transport) -> int:
    """Bytes that the kernel has yet to send, or that the peer has not acknowledged: tcp(7), SIOCOUTQ. What waits in
    this process waits behind them; with TLS, asyncio does not say how much that is."""
    number = transport.get_extra_info("socket").fileno()
    if number < 0:
        return 0
    count: int = struct.unpack("i", fcntl.ioctl(number, termios.TIOCOUTQ, bytes(4)))[0]
    return count
