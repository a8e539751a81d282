"""The fleet: a thread that watches the registry, the room as it was last seen, and the open pages that are told.

The thread makes everything, HTML included; the event loop only passes it on. If the registry cannot be read, the room
stays as it was, with the reason, and the thread tries again.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import structlog

from appliance.config.file import Config
from appliance.control.fleet.changes import SET_BACK
from appliance.control.fleet.hub import Hub, PageListener
from appliance.control.fleet.pcs import Wanted
from appliance.control.fleet.rooms import Change, Room, in_place
from appliance.control.fleet.watcher import Pen, Watcher
from appliance.errors import UserError
from appliance.registry.database import Registry
from appliance.registry.sql_errors import FAILED

_PACE = 0.5
"""Seconds between two looks, and so between two events for a page."""

_UNWATCHED = 5.0
"""Seconds between two looks while nobody has asked since the last one, and no page is open."""

_SHARE = 9.0
"""Between two looks the thread rests this many times as long as the last look took of the processor: a tenth of it is
for the page, and the rest for the boots, if there is no other."""

_PATIENCE = 2.0
"""Seconds that somebody waits for a look: for the first one, or for one that shows what was just changed."""

_RETRY = 5.0
_FAULT = "a fault in netboot-appliance; the log has it: journalctl -u netboot-appliance-control"
_MOST_ROWS = 500
"""Rows that a page is told after it was loaded; if more changed meanwhile, it is loaded again."""

_log = structlog.get_logger()


class Fleet:
    """All PCs as the page and the API show them. `room` is the latest; read it once for each answer."""

    def __init__(self, config: Callable[[], Config], clock: Callable[[], float], pen: Pen) -> None:
        """`config` returns the configuration in force, `clock` the seconds since the epoch."""
        self.room = Room()
        self.hub = Hub()
        self._config = config
        self._clock = clock
        self._pen = pen
        self._epoch = f"{time.time_ns():x}"
        self._stop = threading.Event()
        self._asked = threading.Event()
        self._hurried = threading.Event()
        self._thread: threading.Thread | None = None
        self._news = asyncio.Event()

    def start(self) -> None:
        """Watch, from the running event loop's thread."""
        loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._watch, args=(loop,), name="fleet", daemon=True)
        self._thread.start()

    async def stop(self) -> None:
        """End the thread and what open pages are told."""
        self._stop.set()
        self._hurry()
        self.hub.end()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)

    async def current(self, edits: int = -1) -> Room:
        """The room, read once at least, and with so many edits of the registry (database.py, `edit`): waits for that,
        but not for long."""
        if self._thread is None:
            await asyncio.to_thread(self._look_once)
        self._asked.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                while not (self.room.read or self.room.trouble) or self.room.edits < edits:
                    self._hurry()
                    await self._news.wait()
        return self.room

    # For open pages

    def ident(self, room: Room) -> str:
        """What a page that shows `room` says when it begins to listen."""
        return f"{self._epoch}-{room.version}"

    def missed(self, ident: str, wanted: Wanted, mac: str) -> list[tuple[str, str]]:
        """Events (hub.py) that bring a page up to date which shows the room `ident`; empty: it was just loaded."""
        epoch, _, number = ident.partition("-")
        room = self.room
        if not ident:
            return []
        anew = [("pc" if mac else "anew", "")]
        if epoch != self._epoch or not number.isascii() or not number.isdecimal() or len(number) > _LONGEST:
            return anew
        if int(number) >= room.version:
            return []
        changed = room.changed_since(int(number))
        if mac:
            return anew if any(pc.facts.mac == mac for pc in changed) else []
        if room.arranged > int(number) or len(changed) > _MOST_ROWS or (wanted and changed):
            return anew
        heads = "" if wanted else "".join(in_place(group.head) for group in room.groups)
        days = "".join(map(in_place, room.days)) if room.drawn > int(number) else ""
        return [("rows", "".join(in_place(pc.row) for pc in changed) + heads + in_place(room.top) + days)]

    def listen(self, address: str, wanted: Wanted, mac: str = "") -> PageListener:
        """For the page of a browser at `address`: the room of these PCs, or one PC. Raises TooManyPagesError."""
        self._asked.set()
        return self.hub.listen(address, wanted, mac)

    # The thread

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        room = self.room
        while not self._stop.is_set():
            try:
                with Registry(self._config().registry) as registry:
                    watcher = Watcher(registry, self._pen, room)
                    try:
                        self._look_on(watcher, registry, loop)
                    finally:
                        room = watcher.room
            except (UserError, OSError, *FAILED) as error:
                _log.warning("the registry cannot be read", error=str(error))
                room = self._in_trouble(loop, room, str(error))
            except Exception:
                # A fault of ours must not freeze the page for good, while it looks as if nothing happened.
                _log.exception("a fault while looking at the PCs; trying again")
                room = self._in_trouble(loop, room, _FAULT)

    def _in_trouble(self, loop: asyncio.AbstractEventLoop, room: Room, why: str) -> Room:
        """Say on the page why it shows nothing newer, and wait a little; returns the room that says so."""
        room = replace(room, trouble=why, version=room.version + 1)
        with suppress(Exception):  # the fault may be there
            room = replace(room, top=self._pen.top(room))
        self._pass_on(loop, room, Change(room.version, (), "", "", anew=True))
        self._stop.wait(_RETRY)
        return room

    def _look_on(self, watcher: Watcher, registry: Registry, loop: asyncio.AbstractEventLoop) -> None:
        """Look until the process stops, the registry is another file, or the clock was set back: then the moments at
        which the watcher wants to look again are far away."""
        path, latest = registry.path, self._clock()
        while not self._stop.is_set() and registry.in_place() and self._config().registry == path:
            now = self._clock()
            if now < latest - SET_BACK:
                return
            latest = max(latest, now)
            # Of this thread: on a busy machine it looks as often.
            begun = time.thread_time()
            self._hurried.clear()
            if watcher.pending(now):
                change = watcher.look(self._config(), now, self._stop.is_set)
                self._pass_on(loop, watcher.room, change)
            self._rest(max(_PACE, _SHARE * (time.thread_time() - begun)))

    def _rest(self, seconds: float) -> None:
        """At least so long, and longer if nobody asks; or until somebody waits for the next look."""
        if not self._hurried.wait(seconds) and not len(self.hub):
            self._asked.wait(_UNWATCHED)
        self._asked.clear()

    def _hurry(self) -> None:
        """Have the thread look now."""
        self._hurried.set()
        self._asked.set()

    def _look_once(self) -> None:
        """Without the thread."""
        with Registry(self._config().registry) as registry:
            watcher = Watcher(registry, self._pen, Room())
            watcher.look(self._config(), self._clock())
            self.room = watcher.room

    def _pass_on(self, loop: asyncio.AbstractEventLoop, room: Room, change: Change | None) -> None:
        try:
            loop.call_soon_threadsafe(self._take, room, change)
        except RuntimeError:
            # The loop is closed: the process ends.
            self._stop.set()

    def _take(self, room: Room, change: Change | None) -> None:
        self.room = room
        news, self._news = self._news, asyncio.Event()
        news.set()
        if change is not None:
            self.hub.tell(change)


_LONGEST = 18
"""Digits of a version."""
