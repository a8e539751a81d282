"""A short busy wait that replaces the event loop's sleep while an answer is expected.

Going to sleep and waking up costs an event loop tens of microseconds: the way to the kernel and back, timers,
callbacks, and a processor that has to leave its idle state. A client in lock-step answers sooner than that, and for
such a client it is most of the time that a block takes.
"""

import asyncio
import select
import time
from collections.abc import Callable, Sized

_LONGEST_WAIT = 50e-6  # seconds: about what sleeping costs, so a wait without result at most doubles it
_SKIPPED_AFTER_NOTHING = 31  # waits skipped after one in which nothing arrived


class BusyPoll:
    """Polls in a loop's place while the loop has nothing else to do.

    Anything that the loop has to do ends the wait: what is scheduled, and any descriptor that it watches. asyncio has
    no public way to ask for those. On a loop that lacks these private attributes, `ready_soon` never waits.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._scheduled: Sized = getattr(loop, "_ready", ())
        self._poll: Callable[[int], object] | None = None
        self._to_skip = 0
        fileno = getattr(getattr(loop, "_selector", None), "fileno", None)
        if fileno and hasattr(loop, "_ready"):
            poll = select.poll()
            poll.register(fileno(), select.POLLIN)
            self._poll = poll.poll

    def ready_soon(self) -> bool:
        """Wait, and return whether a descriptor of the loop became ready; False when the loop should have its turn."""
        if self._poll is None or self._scheduled:
            return False
        if self._to_skip:
            self._to_skip -= 1
            return False
        end = time.perf_counter() + _LONGEST_WAIT
        while not self._poll(0):
            if time.perf_counter() >= end:
                self._to_skip = _SKIPPED_AFTER_NOTHING
                return False
        return True
