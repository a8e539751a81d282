"""`room`: all PCs with one label compute, or do not, whatever their schedule says."""

import time
from dataclasses import asdict
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from appliance.cli.arguments import JSON, label_names
from appliance.cli.output import say, show_json, show_table
from appliance.cli.schedule import soon
from appliance.config.file import Config, load
from appliance.errors import UserError
from appliance.registry.database import Registry
from appliance.schedules import holds
from appliance.schedules.effective import moment
from appliance.schedules.hold import Hold
from appliance.view.rooms import RangeNow, RoomView, find_room, gather_rooms, ranges_now
from appliance.view.words import counted
from services.linux import time_zone

app = typer.Typer(
    name="room",
    help="Hold a room on or off by hand: all PCs with one label of the allowlist, whatever their schedule says.",
    epilog="PCs that are on hear of it within a minute and a half. Times are those of this server.",
    no_args_is_help=True,
)
_ROOM = typer.Argument(
    metavar="LABEL", help="A label of the allowlist.", show_default=False, autocompletion=label_names
)
_UNTIL = typer.Option(
    metavar="TIME",
    help='"Mon 07:00", "07:00", "2026-12-24 07:00", or for how long: "8h", "90min", "2d". Default: until released.',
    show_default=False,
)


@app.command(epilog="Example: netboot-appliance room on 'room 12' --until 'Mon 07:00'")
def on(
    context: typer.Context,
    label: Annotated[str, _ROOM],
    until: Annotated[str | None, _UNTIL] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Let its PCs compute, also outside their windows.

    PCs that are off stay off, unless their schedule wakes PCs (at_start) or you do: netboot-appliance wake LABEL.
    """
    _hold(context, label, until, as_json, on=True)


@app.command(epilog="Example: netboot-appliance room off 'room 12' --until 12:00")
def off(
    context: typer.Context,
    label: Annotated[str, _ROOM],
    until: Annotated[str | None, _UNTIL] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Give its PCs back: those that compute end as at the end of a window, and the others start their own disks."""
    _hold(context, label, until, as_json, on=False)


@app.command(epilog="Example: netboot-appliance room release 'room 12'")
def release(context: typer.Context, label: Annotated[str, _ROOM], as_json: Annotated[bool, JSON] = False) -> None:
    """Take a hold back: the schedule counts again. Exit code: 0, also if the room was not held."""
    config, now = load(context.obj), time.time()
    with Registry(config.registry) as registry:
        before = find_room(registry, label, now)
        holds.release(registry, before.label, now)
        _show(config, registry, find_room(registry, label, now), as_json, "" if before.held else "it was not held")


@app.command(epilog="Examples: netboot-appliance room status; netboot-appliance room status 'room 12' --json")
def status(
    context: typer.Context,
    label: Annotated[
        str | None, typer.Argument(metavar="[LABEL]", help="One room.", show_default=False, autocompletion=label_names)
    ] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Show which rooms are held, or when the PCs of one room compute."""
    config, now = load(context.obj), time.time()
    with Registry(config.registry) as registry:
        if label is not None:
            _show(config, registry, find_room(registry, label, now), as_json)
            return
        found = gather_rooms(registry, now)
    if as_json:
        show_json(found)
        return
    rows = [
        (each.label, str(each.ranges), ", ".join(filter(None, each.schedules)), held_in_words(each)) for each in found
    ]
    show_table(
        ("room", "ranges", "schedule", "held"), rows, "There are no rooms: no entry of the allowlist has a label."
    )


def held_in_words(room: RoomView) -> str:
    """How a room is held: `off until Mon 07:00`, or empty."""
    if not room.held:
        return ""
    return f"{room.held} until {'released' if room.until is None else soon(room.until)}"


def _hold(context: typer.Context, label: str, until: str | None, as_json: bool, *, on: bool) -> None:
    config, now = load(context.obj), time.time()
    try:
        end = None if until is None else moment(until, now, _zone(config))
    except ValueError as error:
        raise UserError(f"--until {error}", "nothing was changed") from None
    with Registry(config.registry) as registry:
        room = find_room(registry, label, now)
        holds.put(registry, Hold(room.label, on, now, end))
        _show(config, registry, find_room(registry, label, now), as_json)


def _zone(config: Config) -> ZoneInfo:
    """What the times in `--until` mean: those of this server, as all times that verbs print."""
    return ZoneInfo(time_zone.of_this_host() or config.time_zone or "UTC")


def _show(config: Config, registry: Registry, room: RoomView, as_json: bool, said: str = "") -> None:
    ranges = ranges_now(config, registry, room, time.time())
    if as_json:
        show_json(asdict(room) | {"now": ranges})
        return
    say(f"room      {room.label}, {counted(room.ranges, 'range', 'ranges')}{f' ({said})' if said else ''}")
    say(f"held      {held_in_words(room) or 'no'}", "")
    rows = [(each.range, each.schedule, _in_words(each)) for each in ranges]
    show_table(("range", "schedule", "now"), rows, "")


def _in_words(now: RangeNow) -> str:
    if now.window is None:
        return "does not compute until the room is released"
    begin = "computes" if now.open else f"computes from {soon(now.window.begin)}"
    return (
        f"{begin} until {soon(now.window.end)}"
        if now.window.end is not None
        else f"{begin}{' at any time' if now.open else ' on'}"
    )
