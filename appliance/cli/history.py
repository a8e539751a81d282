"""`history`: what the PCs did day by day."""

import time
from typing import Annotated

import typer

from appliance.cli.arguments import JSON
from appliance.cli.output import show_json, show_table
from appliance.config.file import tolerant
from appliance.heartbeats import days as figures
from appliance.heartbeats import targets
from appliance.registry.database import Registry
from appliance.view.days import MOST_DAYS, DayView, day_views, span_of, sum_of
from services.ethernet import MacAddress

app = typer.Typer()


@app.command(epilog="Examples: netboot-appliance history; netboot-appliance history --days 90 --pc 'room 12' --json")
def history(
    context: typer.Context,
    days: Annotated[int, typer.Option(min=1, max=MOST_DAYS, help="How many days, today included.")] = 30,
    pc: Annotated[str, typer.Option(metavar="MAC|RANGE|LABEL", help="Only these PCs.")] = "",
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Show what the PCs did day by day: how long they were on, how long their cores computed, and BOINC's credit.

    Days are those of UTC. A PC counts as on between two heartbeats that are at most three minutes apart, and as
    computing with one core for each running task. Credit counts on the day on which the PC hears of it.
    """
    first, last = span_of(days, time.time())
    with Registry(tolerant(context.obj).registry) as registry:
        macs = _named(pc, registry) if pc else None
        shown = day_views(figures.totals(registry, first, last, macs), first, last)
    if as_json:
        show_json(shown)
        return
    rows = [_row(each) for each in shown if each.pcs]
    if len(rows) > 1:
        rows.append(_row(sum_of(shown)))
    columns = ("day (UTC)", "PCs", "hours on", "core-hours", "credit")
    show_table(columns, rows, f"No PC was heard on the last {days} days." if days > 1 else "No PC was heard today.")


def _named(text: str, registry: Registry) -> list[MacAddress]:
    """The PCs that are meant; a single one need not be allowed any more."""
    try:
        return [MacAddress.parse(text)]
    except ValueError:
        return targets.resolve(text, registry.allowlist(), registry.known())


def _row(day: DayView) -> tuple[str, ...]:
    return day.day, f"{day.pcs:,}", f"{day.power_on_hours:,.1f}", f"{day.core_hours:,.1f}", f"{day.credit:,.1f}"
