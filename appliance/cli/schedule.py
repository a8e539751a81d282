"""`schedule`: when PCs compute."""

import time
from dataclasses import asdict
from typing import Annotated, Any

import typer

from appliance.cli.arguments import JSON, schedule_names
from appliance.cli.output import say, show_json, show_table
from appliance.config.file import load
from appliance.errors import UserError
from appliance.registry.database import Registry
from appliance.schedules.name import unknown
from appliance.view.schedules import ScheduleNow, ScheduleView, WindowView, schedule_views
from appliance.view.words import counted

app = typer.Typer(
    name="schedule",
    help="Show when PCs compute: the [schedules.NAME] of the configuration.",
    epilog="A range gets one by: netboot-appliance allow set RANGE --schedule NAME. Times are those of this server.",
    no_args_is_help=True,
)
_NONE = "There is no schedule: PCs compute at any time."


@app.command("list", epilog="Example: netboot-appliance schedule list --json")
def list_(context: typer.Context, as_json: Annotated[bool, JSON] = False) -> None:
    """List the schedules, and what each of them says now."""
    views = _views(context, None, time.time())
    if as_json:
        show_json([_plain(view) for view in views])
    else:
        rows = [(view.now.name, ", ".join(view.windows), str(view.ranges), in_words(view.now)) for view in views]
        show_table(("schedule", "windows", "ranges", "now"), rows, _NONE)


@app.command(epilog="Example: netboot-appliance schedule show night")
def show(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The schedule.", show_default=False, autocompletion=schedule_names)],
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Show a schedule, with its windows in the coming week."""
    now = time.time()
    (view,) = _views(context, name, now)
    if as_json:
        show_json(_plain(view))
        return
    say(f"schedule   {view.now.name}")
    say(f"windows    {', '.join(view.windows)} ({view.time_zone})")
    if view.holidays:
        say(f"holidays   {', '.join(view.holidays)}")
    if view.at_start != "nothing":
        say(f"at start   {view.at_start}")
    say(f"at end     {view.now.at_end}, after at most {counted(view.grace, 'second', 'seconds')}")
    say(f"ranges     {view.ranges}")
    say(f"now        {in_words(view.now)}", "")
    show_table(("from", "until"), [_row(window, now) for window in view.coming], "No window in the coming week.")


@app.command("next", epilog="Example: netboot-appliance schedule next")
def next_(context: typer.Context, as_json: Annotated[bool, JSON] = False) -> None:
    """Show the windows of all schedules in the coming week, by time."""
    now = time.time()
    views = _views(context, None, now)
    found = sorted(
        ((window, view.now) for view in views for window in view.coming), key=lambda each: (each[0].begin, each[1].name)
    )
    if as_json:
        show_json([{"schedule": of.name} | asdict(window) | {"at_end": of.at_end} for window, of in found])
        return
    rows = [(*_row(window, now), of.name, of.at_end) for window, of in found]
    show_table(("from", "until", "schedule", "at end"), rows, "No window in the coming week." if views else _NONE)


def in_words(now: ScheduleNow) -> str:
    """What a schedule says now: `computes until Tue 06:30, then: power off`."""
    begin = "" if now.open else f" from {soon(now.window.begin)}"
    if now.window.end is None:
        return f"computes{begin or ' at any time'}"
    return f"computes{begin} until {soon(now.window.end)}, then: {now.at_end}"


def _views(context: typer.Context, name: str | None, now: float) -> list[ScheduleView]:
    config = load(context.obj)
    if name is not None and config.schedule(name) is None:
        raise UserError(*unknown(name, config.schedules))
    with Registry(config.registry) as registry:
        allowlist = registry.allowlist()
    return schedule_views(config, config.schedules if name is None else [name], allowlist, now)


def _plain(view: ScheduleView) -> dict[str, Any]:
    """The schedule as scripts read it."""
    plain = asdict(view)
    return {**plain.pop("now"), **plain}


def _row(window: WindowView, now: float) -> tuple[str, str]:
    begin = _date(window.begin) if window.begin > now else "now"
    return begin, "never" if window.end is None else _date(window.end)


def _date(at: float) -> str:
    return time.strftime("%a %Y-%m-%d %H:%M", time.localtime(at))


def soon(at: float) -> str:
    """A moment to come: without its date if no other day of that name is nearer."""
    return time.strftime("%a %H:%M", time.localtime(at)) if 0 <= at - time.time() < 6 * 86400 else _date(at)
