"""Answers that leave later, for firmware that misses an instant one. Knows nothing of what they say.

Bounded: beyond MOST of them an answer leaves at once, for no answer is worse than an early one.
"""

import asyncio
import logging
from collections.abc import Callable

MOST = 1000
"""Answers that wait at the same time, all interfaces of the box apart: a room that was switched on together."""

log = logging.getLogger(__name__)


class DelayedSend:
    """What waits to be sent, in the running event loop."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._waiting: set[asyncio.TimerHandle] = set()

    def send(self, seconds: float, act: Callable[[], None]) -> None:
        """Call `act` after so many seconds, or at once for 0. What it raises later ends only itself."""
        if seconds <= 0 or len(self._waiting) >= self._most:
            act()
            return

        def late() -> None:
            self._waiting.discard(handle)
            try:
                act()
            except Exception:
                log.exception("delayed dhcp answer failed")

        handle = asyncio.get_running_loop().call_later(seconds, late)
        self._waiting.add(handle)

    def cancel(self) -> None:
        """Forget all that waits."""
        while self._waiting:
            self._waiting.pop().cancel()
