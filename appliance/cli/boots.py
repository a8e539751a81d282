"""`boots`: the boots of all PCs, how far each came, and what happened on the way."""

import time
from typing import Annotated

import typer

from appliance.cli.arguments import JSON, mac_address
from appliance.cli.output import say, show_json, show_table
from appliance.config.file import load
from appliance.journal import event_pages
from appliance.journal.timeline import Stage
from appliance.registry.database import Registry
from appliance.view.boots import BootView, boot_views
from appliance.view.events import BootDetails, boot_details
from appliance.view.facts import gather_boot, gather_boots
from appliance.view.words import moment, size
from services.spans import span

app = typer.Typer(name="boots", help="Show the boots of the PCs: how far each came, and when.", no_args_is_help=True)
_MOST = 1000


@app.command(
    "list",
    epilog="Examples: netboot-appliance boots list --pc 52:54:00:aa:bb:cc; netboot-appliance boots list --stage failed "
    "--json",
)
def list_(
    context: typer.Context,
    pc: Annotated[str, typer.Option(metavar="MAC", help="Only the boots of this PC.", show_default=False)] = "",
    stage: Annotated[
        Stage | None, typer.Option(help="Only boots that came to this stage, and no further.", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=_MOST, help="How many boots to list.")] = 50,
    before: Annotated[
        int | None, typer.Option(min=0, metavar="NUMBER", help="Only boots before this one.", show_default=False)
    ] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """List boots, the latest first.

    With --stage it looks through 50,000 boots at a time: then it may list fewer, and says where to go on.
    """
    mac = mac_address(pc) if pc else None
    config, now = load(context.obj), time.time()
    with Registry(config.registry) as registry:
        known = gather_boots(config, registry, before, limit, now, mac, stage or "")
    boots = boot_views(known, now)
    if as_json:
        show_json(boots)
        return
    labels = {str(boot.mac): entry.label for boot, _ in known.boots if (entry := known.allowlist.decide(boot.mac))}
    headings = ("boot", "started", "MAC", "label", "came to", "after", "what is wrong")
    show_table(headings, [_row(boot, labels.get(boot.mac, "")) for boot in boots], "No such boot is known.")
    if known.before is not None:
        say(f"… and there may be earlier ones (--before {known.before})")


@app.command(epilog="Example: netboot-appliance boots show 4711")
def show(
    context: typer.Context,
    number: Annotated[int, typer.Argument(help="Its number, from `boots list`.", min=0, show_default=False)],
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Show a boot: its stages, what it loaded, and each of its events."""
    config, now = load(context.obj), time.time()
    with Registry(config.registry) as registry:
        known, events = gather_boot(config, registry, number, now), event_pages.read_boot(registry, number)
    details = boot_details(known, events, now)
    if as_json:
        show_json(details)
    else:
        _show(details)


def show_boot(boot: BootView) -> None:
    """Print the stages of a boot, what it loaded, and what went wrong."""
    for reached in boot.stages:
        say(f"  {reached.at:8.1f} s  {reached.stage}")
    for transfer in boot.transfers:
        result = transfer.failed or f"{size(transfer.sent)} of {size(transfer.size)}"
        say(f"             {transfer.service} {transfer.path}: {result}")
    if boot.failure:
        say(f"             failed: {boot.failure}")
    if boot.diagnosis:
        say(f"             {boot.diagnosis.words}", f"             do: {boot.diagnosis.cure}")


def _row(boot: BootView, label: str) -> tuple[str, ...]:
    after = span(boot.stages[-1].at) if boot.stages else ""
    wrong = boot.diagnosis.words if boot.diagnosis else boot.failure
    came_to = f"{boot.stage or ''}" + ("" if boot.entry == "boinc" else f", {boot.entry}")
    return (str(boot.id), moment(boot.started), boot.mac, label, came_to, after, wrong)


def _show(details: BootDetails) -> None:
    boot = details.boot
    say(f"boot {boot.id} of {boot.mac}, {moment(boot.started)}, image {boot.release or '(none)'}")
    show_boot(boot)
    if details.events:
        say("", "What happened:")
    for event in details.events:
        say(f"  {event.at - boot.started:8.1f} s  {event.words}")
