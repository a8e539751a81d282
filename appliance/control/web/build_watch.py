"""Open pages that follow the latest build: what they are told, and who looks at the build for all of them.

The build is looked at once a second, and only while a page is open; a thread does that, HTML included. Nothing waits
for a slow page: it is told the latest lines when it takes them, and how many it has missed. For one event loop.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from appliance.control.fleet.hub import Places
from appliance.control.web.templating import macros
from appliance.view.build import BuildView

_PACE = 1.0
"""Seconds between two looks."""

_ANEW_EVERY = 5.0
"""Seconds between two times that a page is to load again."""

Look = Callable[[], BuildView | None]


@dataclass(frozen=True, slots=True)
class SeenBuild:
    """What a page shows: which run of the unit, whether it is at work, and its last line."""

    run: str
    running: bool
    line: int

    @property
    def ident(self) -> str:
        """For the page's address, and for a browser that comes back."""
        return f"{self.run}.{int(self.running)}.{self.line}"


def seen(build: BuildView | None) -> SeenBuild:
    """What a page shows that shows this."""
    if build is None:
        return SeenBuild("", False, 0)
    return SeenBuild(build.run, build.running, build.lines[-1].number if build.lines else 0)


def read_ident(ident: str) -> SeenBuild | None:
    """What a page says that it shows; None for nonsense."""
    run, _, rest = ident.partition(".")
    running, _, line = rest.partition(".")
    if running not in ("0", "1") or not (line.isascii() and line.isdecimal()):
        return None
    return SeenBuild(run, running == "1", int(line))


@dataclass(frozen=True, slots=True)
class Shown:
    """The build as it was last seen, as HTML: its `stage`, what it does `now`, and its `lines` with their numbers.
    `look`: which look saw it."""

    look: int
    seen: SeenBuild
    stage: str = ""
    now: str = ""
    lines: Sequence[tuple[int, str]] = ()


class BuildPen:
    """Writes what open pages are told, from templates/build_parts.html."""

    def __init__(self) -> None:
        found = macros("build_parts.html")
        self._stage, self._now = found["stage"], found["now"]
        self._line, self.left_out = found["line"], found["left_out"]

    def shown(self, look: int, build: BuildView | None) -> Shown:
        """The build as HTML."""
        if build is None or not build.running:
            return Shown(look, seen(build))
        lines = [(each.number, str(self._line(each.text))) for each in build.lines]
        return Shown(look, seen(build), str(self._stage(build)), str(self._now(build)), lines)


class BuildListener:
    """One open page, which shows `since`, or nobody knows what. It leaves at the end of its `with` block."""

    def __init__(self, watch: "BuildWatch", address: str, since: SeenBuild | None) -> None:
        self.address = address
        self._watch = watch
        self._since = since
        # What was seen before the page was loaded says nothing new.
        self._newer_than = watch.begun
        self._stage = ""
        self._now = ""
        self._not_before = 0.0
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """There is something new, or it is the end."""
        self._woken.set()

    async def next(self, seconds: float) -> list[tuple[str, str]] | None:
        """Events for the page, each with its name and data; empty if there are none within `seconds`; None after the
        end. "anew": load the page again; "stage" and "now": put that in the place of what it shows; "lines": add
        them."""
        until = asyncio.get_running_loop().time() + seconds
        while not self._watch.ended:
            if events := self._events():
                return events
            self._woken.clear()
            try:
                async with asyncio.timeout_at(until):
                    await self._woken.wait()
            except TimeoutError:
                return []
        return None

    def _events(self) -> list[tuple[str, str]]:
        shown, since = self._watch.shown, self._since
        if shown.look <= self._newer_than:
            return []
        if since is None or (since.run, since.running) != (shown.seen.run, shown.seen.running):
            now = asyncio.get_running_loop().time()
            if now < self._not_before:
                return []
            self._not_before = now + _ANEW_EVERY
            return [("anew", "")]
        events = []
        if shown.stage != self._stage:
            events.append(("stage", shown.stage))
        if shown.now != self._now:
            events.append(("now", shown.now))
        new = [(number, html) for number, html in shown.lines if number > since.line]
        if new:
            missed = new[0][0] - since.line - 1
            told = [self._watch.left_out(missed)] if missed else []
            events.append(("lines", "".join([*told, *(html for _, html in new)])))
        self._since, self._stage, self._now = shown.seen, shown.stage, shown.now
        return events

    def __enter__(self) -> "BuildListener":
        return self

    def __exit__(self, *_: object) -> None:
        self._watch.leave(self)


class BuildWatch:
    """All open pages that follow the build. `look` returns it; `marks`, which costs little, differs once it has
    changed."""

    def __init__(self, look: Look, marks: Callable[[], object], places: Places) -> None:
        self.begun = 0
        self.shown = Shown(0, SeenBuild("", False, 0))
        self.ended = False
        self._look = look
        self._marks = marks
        self._places = places
        self._pen = BuildPen()
        self._listeners: set[BuildListener] = set()
        self._task: asyncio.Task[None] | None = None
        self._last_marks: object = None

    @property
    def ident(self) -> str:
        """What a page that shows the latest says when it comes back."""
        return self.shown.seen.ident

    def listen(self, address: str, since: str) -> BuildListener:
        """For the page of a browser at `address` that shows what `since` says. Raises TooManyPagesError."""
        self._places.take(address)
        listener = BuildListener(self, address, read_ident(since))
        self._listeners.add(listener)
        if self._task is None:
            self._task = asyncio.create_task(self._watch())
        return listener

    def leave(self, listener: BuildListener) -> None:
        """Tell it nothing more."""
        if listener in self._listeners:
            self._listeners.remove(listener)
            self._places.give_back(listener.address)
        if self._task and not self._listeners:
            self._task.cancel()
            self._task = None

    def end(self) -> None:
        """End all, when the process stops."""
        self.ended = True
        for listener in self._listeners:
            listener.wake()

    def left_out(self, lines: int) -> str:
        """What a page shows in the place of so many lines."""
        return str(self._pen.left_out(lines))

    async def _watch(self) -> None:
        while not self.ended:
            self.begun += 1
            self.shown = await asyncio.to_thread(self._seen_now, self.begun)
            for listener in self._listeners:
                listener.wake()
            await asyncio.sleep(_PACE)

    def _seen_now(self, number: int) -> Shown:
        marks, before = self._marks(), self.shown
        # Without a sign of life, only systemd knows whether it is still at work.
        if marks == self._last_marks and before.look and not before.seen.running:
            return Shown(number, before.seen)
        self._last_marks = marks
        return self._pen.shown(number, self._look())
