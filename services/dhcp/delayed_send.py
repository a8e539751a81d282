"""Answers that are sent later, for firmware that misses an instant one. What they say does not matter here.

Bounded: while MOST of them wait, the next one is sent at once, because an early answer is better than none.
"""

import asyncio
import logging
from collections.abc import Callable

MOST = 1000
"""Answers that wait at the same time on one interface: a room that was switched on together."""

log = logging.getLogger(__name__)


class DelayedSend:
    """Answers that wait in the running event loop."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._timers: set[asyncio.TimerHandle] = set()

    def send(self, seconds: float, send: Callable[[], None]) -> None:
        """Call `send` after so many seconds, or at once for 0. An exception that it raises later is logged."""
        if seconds <= 0 or len(self._timers) >= self._most:
            send()
            return

        def send_late() -> None:
            self._timers.discard(timer)
            try:
                send()
            except Exception:
                log.exception("delayed dhcp answer failed")

        timer = asyncio.get_running_loop().call_later(seconds, send_late)
        self._timers.add(timer)

    def cancel(self) -> None:
        """Drop all answers that wait."""
        while self._timers:
            self._timers.pop().cancel()
