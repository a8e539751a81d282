"""The events that a service emits, for tests to await."""

import asyncio
from typing import TypeVar

from services.events import Event

Kind = TypeVar("Kind")


class EventLog:
    """Pass it as a service's `emit`; `seen` keeps every event, `next` returns them in order."""

    def __init__(self) -> None:
        self.seen: list[Event] = []
        self._queue: asyncio.Queue[Event] = asyncio.Queue()

    def __call__(self, event: Event) -> None:
        self.seen.append(event)
        self._queue.put_nowait(event)

    async def next(self, kind: type[Kind], seconds: float = 60.0) -> Kind:
        """The next event of this kind; skips events of other kinds."""
        async with asyncio.timeout(seconds):
            while True:
                event = await self._queue.get()
                if isinstance(event, kind):
                    return event

    def of(self, kind: type[Kind]) -> list[Kind]:
        """All events of this kind so far."""
        return [event for event in self.seen if isinstance(event, kind)]
