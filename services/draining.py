"""How long a stop waits for work under way: as long as there is progress. It knows nothing of transfers or sockets."""

import asyncio
from collections.abc import Callable

STILL_AFTER = 5.0
"""Seconds without any progress after which a stop waits no longer: the interface is gone, or the remaining PCs are
switched off. Lost packets are resent sooner than this."""

_LOOK_EVERY = 0.1  # seconds


async def drained(progress: Callable[[], object], seconds: float) -> bool:
    """Wait until nothing is under way, and return True; False after `seconds`, or STILL_AFTER without progress.

    `progress` returns something false when nothing is under way, and otherwise a value that changes with every step of
    any transfer.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    last, changed = progress(), loop.time()
    while last:
        now = loop.time()
        if now >= min(end, changed + STILL_AFTER):
            return False
        await asyncio.sleep(min(_LOOK_EVERY, end - now))
        if (latest := progress()) != last:
            last, changed = latest, loop.time()
    return True
