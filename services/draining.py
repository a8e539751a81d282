"""How long a stop waits for what is under way: as long as something moves. Knows neither transfers nor sockets."""

import asyncio
from collections.abc import Callable

STILL_AFTER = 5.0
"""Seconds without any progress after which nothing more is awaited: the interface is gone, or those who are left are
switched off. What is lost on a network is repeated sooner."""

_LOOK_EVERY = 0.1  # seconds


async def drained(progress: Callable[[], object], seconds: float) -> bool:
    """Wait until nothing is under way, and return True; False after `seconds`, or STILL_AFTER without progress.

    `progress` tells how far all is: something that is false when nothing is under way, and else another value for each
    step of any.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    last, moved = progress(), loop.time()
    while last:
        now = loop.time()
        if now >= min(end, moved + STILL_AFTER):
            return False
        await asyncio.sleep(min(_LOOK_EVERY, end - now))
        if (latest := progress()) != last:
            last, moved = latest, loop.time()
    return True
