"""`events`: what happened to the PCs, as it happens."""

import re
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Annotated

import typer

from appliance.cli.arguments import JSON, mac_address
from appliance.cli.output import say, show_json, show_json_line
from appliance.config.file import load
from appliance.errors import UserError
from appliance.journal.event_pages import EventFilter, EventPage, read_after, read_last
from appliance.registry.database import Registry
from appliance.view.events import KINDS, EventView, event_views
from appliance.view.words import moment

app = typer.Typer()
_MOST = 1000
_LOOKS_EVERY = 0.5
"""Seconds between two looks at the registry: the server writes four times a second."""

_AGO = re.compile(r"(\d{1,6}) ?(s|min|h|d)")
_SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86400}


@app.command(
    epilog="Examples: netboot-appliance events --follow; netboot-appliance events --pc 52:54:00:aa:bb:cc --since 2h; "
    "netboot-appliance events --kind TransferFailed --kind GaveUp --since '2026-11-30 08:00' --json"
)
def events(
    context: typer.Context,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what happens from now on.")] = False,
    pc: Annotated[str, typer.Option(metavar="MAC", help="Only those of this PC.", show_default=False)] = "",
    kind: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND",
            help=f"Only those of this kind; may be given again. {', '.join(KINDS)}.",
            show_default=False,
            autocompletion=lambda incomplete: [each for each in KINDS if each.startswith(incomplete)],
        ),
    ] = None,
    since: Annotated[
        str,
        typer.Option(metavar="WHEN", help="Begin there: 30min, 2h, 3d ago, or a date and time.", show_default=False),
    ] = "",
    limit: Annotated[
        int, typer.Option(min=1, max=_MOST, help="How many: the latest; with --since, how many at once.")
    ] = 100,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Print what happened to the PCs that may boot, oldest first: what they asked for, loaded and reported.

    Without --since, the latest ones. What got no answer is counted, and in `status`. With --follow, --json prints one
    object on each line.
    """
    wanted = _filter(pc, kind or [], _moment(since, time.time()) if since else 0.0)
    with Registry(load(context.obj).registry) as registry:
        if follow:
            _follow(registry, limit, wanted, show_json_line if as_json else _say)
            return
        pages = _pages(registry, limit, wanted) if since else [read_last(registry, limit, wanted)]
        shown = [view for page in pages for view in event_views(page.events, registry.allowlist())]
    if as_json:
        show_json(shown)
        return
    for view in shown:
        _say(view)
    if not shown:
        say("No such event is known.")


def _follow(registry: Registry, limit: int, wanted: EventFilter, show: Callable[[EventView], None]) -> None:
    """Print what there is and all that follows, until somebody interrupts it."""
    # The version comes first: what is committed after it changes it.
    seen = registry.data_version()
    page = read_after(registry, 0, limit, wanted) if wanted.since else read_last(registry, limit, wanted)
    while True:
        for view in event_views(page.events, registry.allowlist()):
            show(view)
        while not page.more and registry.data_version() == seen:
            time.sleep(_LOOKS_EVERY)
        seen = registry.data_version()
        page = read_after(registry, page.last, limit, wanted)


def _pages(registry: Registry, limit: int, wanted: EventFilter) -> Iterator[EventPage]:
    """All that is wanted, from its beginning to the end."""
    last, more = 0, True
    while more:
        page = read_after(registry, last, limit, wanted)
        yield page
        last, more = page.last, page.more


def _say(event: EventView) -> None:
    label = f" ({event.label})" if event.label else ""
    say(f"{moment(event.at)}  {event.mac}{label}  {event.words}")


def _filter(pc: str, kinds: list[str], since: float) -> EventFilter:
    if unknown := sorted(set(kinds) - set(KINDS)):
        raise UserError(f"there is no kind of event {unknown[0]!r}", f"one of {', '.join(KINDS)}")
    return EventFilter(mac_address(pc) if pc else None, frozenset(kinds), since)


def _moment(text: str, now: float) -> float:
    """Seconds since the epoch, from what a person typed; raises UserError."""
    if ago := _AGO.fullmatch(text.strip()):
        return max(0.0, now - int(ago[1]) * _SECONDS[ago[2]])
    try:
        return max(0.0, datetime.fromisoformat(text.strip()).timestamp())
    except (ValueError, OverflowError, OSError):
        raise UserError(f"{text!r} is no time", "write 30min, 2h or 3d, or a date and time: 2026-11-30 08:00") from None
