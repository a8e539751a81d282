"""An event loop with a fake clock: it never waits, but moves its clock to the next timer."""

import asyncio
import selectors
from typing import Any


class _Hasty(selectors.SelectSelector):
    clock: "FakeClockLoop"

    def select(self, timeout: float | None = None) -> list[Any]:
        """Nothing arrives; only time passes."""
        assert timeout is not None, "nothing is left to be waited for"
        self.clock.now += max(0.0, timeout)
        return []


class FakeClockLoop(asyncio.SelectorEventLoop):
    """For code with timers only; sockets are never polled."""

    def __init__(self, now: float = 0.0) -> None:
        selector = _Hasty()
        selector.clock = self
        self.now = now
        super().__init__(selector)

    def time(self) -> float:
        return self.now
