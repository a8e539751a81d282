"""How the demo shows a boot: a live view on a terminal, plain lines elsewhere, a table at the end.

Shows values that are given to it; asks nobody, waits for nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

# Seconds between lines about the same transfer in a plain log.
PLAIN_INTERVAL = 5.0


@dataclass(frozen=True)
class Transfer:
    """One file being transferred; sizes in bytes."""

    name: str
    service: str
    sent: int
    size: int

    def __str__(self) -> str:
        done = f"{self.sent / 1e6:.1f}" if self.sent < self.size else "all"
        return f"{self.name} by {self.service}: {done} of {self.size / 1e6:.1f} MB"


@dataclass(frozen=True)
class Moment:
    """What is known at one time. All times are seconds since the PC was switched on."""

    elapsed: float
    stages: tuple[tuple[str, float], ...] = ()
    transfers: tuple[Transfer, ...] = ()
    failure: str = ""
    project: str = ""
    serial: str = ""

    @property
    def last(self) -> str:
        """The latest stage, in words."""
        return f"{self.stages[-1][0]} (at {self.stages[-1][1]:.0f} s)" if self.stages else "none: the box saw nothing"


class Display(Protocol):
    """Shows the moments of a boot, one after another."""

    def show(self, moment: Moment) -> None:
        """Show what is new."""


class Lines:
    """Plain lines: each stage, transfer and message of the project once, in order."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._said: set[str] = set()
        self._last_transfer = 0.0

    def show(self, moment: Moment) -> None:
        """Print what is new."""
        for stage, at in moment.stages:
            self._say(at, stage)
        for transfer in moment.transfers:
            if transfer.sent >= transfer.size:
                self._say(moment.elapsed, f"  {transfer}")
            elif moment.elapsed - self._last_transfer >= PLAIN_INTERVAL:
                self._last_transfer = moment.elapsed
                self._say(moment.elapsed, f"  {transfer}")
        if moment.failure:
            self._say(moment.elapsed, f"  failed: {moment.failure}")
        if moment.project:
            self._say(moment.elapsed, f"  {moment.project}")

    def _say(self, at: float, what: str) -> None:
        if what not in self._said:
            self._said.add(what)
            self._console.print(f"{at:6.1f} s  {what}", markup=False, highlight=False, soft_wrap=True)


class Screen:
    """A live view, redrawn at every moment."""

    def __init__(self, live: Live, title: str) -> None:
        self._live = live
        self._title = title

    def show(self, moment: Moment) -> None:
        """Draw the moment."""
        head = Text.assemble((f"{self._title}  ", "bold"), (f"{moment.elapsed:.0f} s", "cyan"))
        foot = [Text(f"  {transfer}", style="dim") for transfer in moment.transfers[-3:]]
        if moment.failure:
            foot.append(Text(f"  failed: {moment.failure}", style="red"))
        if moment.project:
            foot.append(Text(f"  {moment.project}", style="green"))
        foot.append(Text(f"  its screen: {moment.serial}", style="dim", no_wrap=True, overflow="ellipsis"))
        self._live.update(Group(head, stage_table(moment), *foot), refresh=True)


@contextmanager
def display(console: Console, title: str) -> Iterator[Display]:
    """The display that suits the output."""
    if not console.is_terminal:
        yield Lines(console)
        return
    # transient: only the table that follows stays on the screen.
    with Live(console=console, auto_refresh=False, transient=True) as live:
        yield Screen(live, title)


def stage_table(moment: Moment) -> Table:
    """The stages with the time each was reached, and how long it took to get there from the one before."""
    table = Table("stage", show_edge=False, pad_edge=True)
    table.add_column("at", justify="right")
    table.add_column("took", justify="right")
    before = 0.0
    for stage, at in moment.stages:
        table.add_row(Text(stage), f"{at:.1f} s", f"{at - before:.1f} s")
        before = at
    return table
