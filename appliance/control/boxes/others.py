"""The other boxes of an organisation, as this one saw them last. One room of rooms, and no shared database.

A thread with an event loop of its own asks them: names that nobody resolves, slow answers and large ones cost the page
nothing.
"""

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

import structlog

from appliance.config.control import BoxEntry
from appliance.config.file import Config
from appliance.control.boxes.asking import AskingError, OtherFleet, ask

EVERY = 10.0
"""Seconds between two questions."""

_END_SECONDS = 1.0

_log = structlog.get_logger("control")


@dataclass(frozen=True, slots=True)
class OtherBox:
    """Another box. `heard`: when it answered last, None: never; `fleet` is that answer. `away_since`: since when it
    does not answer, None while it does; `why` says why it does not. Times are in seconds since the epoch."""

    name: str
    url: str
    heard: float | None = None
    away_since: float | None = None
    why: str = ""
    fleet: OtherFleet | None = None


class OtherBoxes:
    """What is known of them. `config` returns the configuration in force, `clock` seconds since the epoch."""

    def __init__(
        self,
        config: Callable[[], Config],
        clock: Callable[[], float],
        ask_: Callable[[BoxEntry], Awaitable[OtherFleet]] = ask,
    ) -> None:
        self._config = config
        self._clock = clock
        self._ask = ask_
        self._known: Mapping[BoxEntry, OtherBox] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._watching: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run, name="boxes", daemon=True)

    def start(self) -> None:
        """Ask from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Stop asking. Does not wait for answers."""
        if self._loop is not None and self._watching is not None:
            self._loop.call_soon_threadsafe(self._watching.cancel)
            self._thread.join(_END_SECONDS)

    def all(self) -> list[OtherBox]:
        """Those of the configuration, in its order."""
        known = self._known
        return [known.get(each, OtherBox(each.name, each.url)) for each in self._config().control.boxes]

    async def look(self) -> list[OtherBox]:
        """Ask each of them once; returns those that have gone away since the last time."""
        boxes = self._config().control.boxes
        before = {box.name for box in self._known.values() if box.away_since is not None}
        seen = await asyncio.gather(*map(self._look_at, boxes))
        self._known = dict(zip(boxes, seen, strict=True))
        return [box for box in seen if box.away_since is not None and box.name not in before]

    async def _look_at(self, entry: BoxEntry) -> OtherBox:
        before = self._known.get(entry, OtherBox(entry.name, entry.url))
        try:
            fleet = await self._ask(entry)
        except AskingError as error:
            since = self._clock() if before.away_since is None else before.away_since
            return replace(before, away_since=since, why=str(error))
        return OtherBox(entry.name, entry.url, heard=self._clock(), fleet=fleet)

    def _run(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            asyncio.run(self._watch())

    async def _watch(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._watching = asyncio.current_task()
        while True:
            try:
                for box in await self.look():
                    _log.warning("another box does not answer", box=box.name, why=box.why)
            except Exception:
                _log.exception("a fault while asking other boxes; trying again")
            await asyncio.sleep(EVERY)
