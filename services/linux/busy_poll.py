"""The moment before an event loop goes to sleep, used by who expects an answer at once.

To sleep and to be woken costs an event loop tens of microseconds: the way to the kernel and back, timers, callbacks,
and a processor that has to come out of its idle state. A client in lock-step answers in less, and for it that is most
of what a block takes.
"""

import asyncio
import select
import time
from collections.abc import Callable, Sized

_SHORT = 50e-6  # seconds: about what sleeping costs, so that looking in vain at most doubles it
_BARREN = 31  # lulls left out after one in which nothing came


class BusyPoll:
    """Waits in a loop's place while it has nothing else to do.

    It looks again and again, without sleeping. Whatever the loop has to do ends that: what is scheduled, and any
    descriptor that it watches. asyncio has no public way to ask for those: with a loop that lacks what its selector
    loop on epoll has, there is no waiting.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._scheduled: Sized = getattr(loop, "_ready", ())
        self._poll: Callable[[int], object] | None = None
        self._barren = 0
        fileno = getattr(getattr(loop, "_selector", None), "fileno", None)
        if fileno and hasattr(loop, "_ready"):
            poll = select.poll()
            poll.register(fileno(), select.POLLIN)
            self._poll = poll.poll

    def brings(self) -> bool:
        """Whether a descriptor of the loop is ready soon; False when the loop is to have its turn instead."""
        if self._poll is None or self._scheduled:
            return False
        if self._barren:
            self._barren -= 1
            return False
        end = time.perf_counter() + _SHORT
        while not self._poll(0):
            if time.perf_counter() >= end:
                self._barren = _BARREN
                return False
        return True
