"""Tells open pages what changed. Nobody waits for a slow page: it loses what it does not fetch, and loads anew.

For one event loop. How a page is told is in stream.py.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Iterable

from appliance.control.fleet.pcs import EVERYBODY, Wanted
from appliance.control.fleet.rooms import Change

MOST = 200
"""Open pages in all. Each costs a connection, and a copy of what changed in its kernel buffer."""

MOST_PER_ADDRESS = 20
"""Open pages of one address: a browser has a handful, a reverse proxy has those of everybody."""

_KEPT = 10
"""Changes that wait for one page: some seconds."""

_ANEW_EVERY = 5.0
"""Seconds between two times that a page is to load again: with 5,000 PCs it has megabytes."""


class TooManyPagesError(Exception):
    """No page more may be told."""


class Places:
    """How many open pages are told what changes: all of them together, whatever they show."""

    def __init__(self, most: int = MOST, most_per_address: int = MOST_PER_ADDRESS) -> None:
        self._most = most
        self._most_per_address = most_per_address
        self._addresses: Counter[str] = Counter()

    def __len__(self) -> int:
        return self._addresses.total()

    def take(self, address: str) -> None:
        """A place for a page of a browser at `address`. Raises TooManyPagesError."""
        if len(self) >= self._most or self._addresses[address] >= self._most_per_address:
            raise TooManyPagesError
        self._addresses[address] += 1

    def give_back(self, address: str) -> None:
        """The page is gone."""
        self._addresses[address] -= 1
        if not self._addresses[address]:
            del self._addresses[address]


class PageListener:
    """One open page. `wanted` are the PCs that its room shows; one with a `mac` is about this PC only."""

    def __init__(self, hub: "Hub", address: str, wanted: Wanted, mac: str) -> None:
        self.address = address
        self._hub = hub
        self._wanted = wanted
        self._mac = mac
        self._waiting: deque[Change] = deque()
        self._lost = False
        self._not_before = 0.0
        self._ended = False
        self._woken = asyncio.Event()

    def tell(self, change: Change) -> None:
        """Keep a change for the page; with too many of them, it has to load anew instead."""
        if self._mac and not change.names(self._mac):
            return
        if len(self._waiting) >= _KEPT:
            self._waiting.clear()
            self._lost = True
        if not self._lost:
            self._waiting.append(change)
        self._woken.set()

    def end(self) -> None:
        """No more changes."""
        self._ended = True
        self._woken.set()

    async def next(self, seconds: float) -> list[tuple[str, str]] | None:
        """Events for the page, each with its name and data; empty if there are none within `seconds`; None after the
        end. "rows": elements that know their place; "anew": load the page again; "pc": this PC changed."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while not self._ended and not self._waiting and not (self._lost and loop.time() >= self._not_before):
            self._woken.clear()
            wait = min(until, self._not_before) if self._lost else until
            try:
                async with asyncio.timeout_at(wait):
                    await self._woken.wait()
            except TimeoutError:
                if loop.time() >= until:
                    return []
        if self._ended:
            return None
        found = [] if self._mac else [self._hub.rows(change, self._wanted) for change in self._waiting]
        self._waiting.clear()
        if not self._lost and None not in found:
            return [("pc", "")] if self._mac else [("rows", html) for html in found if html]
        self._lost = loop.time() < self._not_before
        if self._lost:
            return []
        self._not_before = loop.time() + _ANEW_EVERY
        return [("pc" if self._mac else "anew", "")]

    def __enter__(self) -> "PageListener":
        return self

    def __exit__(self, *_: object) -> None:
        self._hub.leave(self)


class Hub:
    """All open pages of rooms and PCs. `places` are shared with all others that are told something."""

    def __init__(self, most: int = MOST, most_per_address: int = MOST_PER_ADDRESS) -> None:
        self.places = Places(most, most_per_address)
        self._listeners: set[PageListener] = set()
        self._made: dict[tuple[int, Wanted], str | None] = {}

    def __len__(self) -> int:
        return len(self._listeners)

    def listen(self, address: str, wanted: Wanted = EVERYBODY, mac: str = "") -> PageListener:
        """A new listener, which leaves at the end of its `with` block. Raises TooManyPagesError."""
        self.places.take(address)
        listener = PageListener(self, address, wanted, mac)
        self._listeners.add(listener)
        return listener

    def leave(self, listener: PageListener) -> None:
        """Tell it nothing more."""
        if listener in self._listeners:
            self._listeners.remove(listener)
            self.places.give_back(listener.address)

    def tell(self, change: Change) -> None:
        """Tell all."""
        for listener in self._listeners:
            listener.tell(change)

    def end(self) -> None:
        """End all, when the process stops."""
        for listener in tuple(self._listeners):
            listener.end()

    def rows(self, change: Change, wanted: Wanted) -> str | None:
        """`change.rows(wanted)`, made once for all pages that show the same."""
        key = (change.version, wanted)
        if key not in self._made:
            for old in [each for each in self._made if each[0] < change.version - _KEPT]:
                del self._made[old]
            self._made[key] = change.rows(wanted)
        return self._made[key]


def as_bytes(events: Iterable[tuple[str, str]], ident: str) -> bytes:
    """Events as the stream has them: https://html.spec.whatwg.org/multipage/server-sent-events.html."""
    lines = []
    for name, data in events:
        body = "".join(f"data: {line}\n" for line in data.replace("\r", "\n").split("\n"))
        lines.append(f"id: {ident}\nevent: {name}\n{body}\n")
    return "".join(lines).encode()
