"""`clients`: the PCs that have booted, what each of them does now, and what it did."""

import time
from typing import Annotated

import typer

from appliance.cli import firmware, kept_work
from appliance.cli.arguments import JSON, MAC, mac_address
from appliance.cli.boinc import show_heartbeat
from appliance.cli.boots import show_boot
from appliance.cli.output import say, show_json, show_json_pages, show_table
from appliance.cli.schedule import in_words, soon
from appliance.config.file import load
from appliance.errors import UserError
from appliance.heartbeats.states import STUCK, Kind
from appliance.registry.database import Registry
from appliance.view import clients as views
from appliance.view.clients import ClientDetails, ClientView
from appliance.view.facts import gather_client, gather_clients
from appliance.view.words import ago, moment

app = typer.Typer(name="clients", help="Show the PCs that have booted at least once.", no_args_is_help=True)
app.command("forget", epilog=firmware.FORGET_EPILOG)(firmware.forget_)
app.command("kept", epilog=kept_work.KEPT_EPILOG)(kept_work.kept)
app.command("restore", epilog=kept_work.RESTORE_EPILOG)(kept_work.restore)
app.command("purge", epilog=kept_work.PURGE_EPILOG)(kept_work.purge)
_BOOTS_SHOWN = 3
_STUCK = "stuck"
_STATES = (*map(str, Kind), _STUCK)
_STATE = typer.Option(
    metavar="STATE",
    help=f"Only PCs in this state: {', '.join(_STATES)}.",
    show_default=False,
    autocompletion=lambda incomplete: [each for each in _STATES if each.startswith(incomplete)],
)


def _kinds(state: str) -> frozenset[Kind]:
    """The states that a word means; raises UserError."""
    if not state:
        return frozenset()
    if state not in _STATES:
        raise UserError(f"{state!r} is no state of a PC", f"one of {', '.join(_STATES)}")
    return STUCK if state == _STUCK else frozenset({Kind(state)})


@app.command(
    "list",
    epilog="Examples: netboot-appliance clients list --state stuck; netboot-appliance clients list --label 'room 12'; "
    "netboot-appliance clients list --limit 0 --json",
)
def list_(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=0, help="How many PCs to list; 0: all.")] = 1000,
    after: Annotated[str, typer.Option(help="Begin after this MAC address.", show_default=False)] = "",
    state: Annotated[str, _STATE] = "",
    label: Annotated[str, typer.Option(help="Only PCs with this label.", show_default=False)] = "",
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """List the PCs and what they do now, by MAC address.

    A PC is silent if it sends no heartbeat for 3 minutes, and unheard if its image sends none; elsewhere: it started
    another entry of its menu. stuck: its boot failed or has stalled.
    """
    wanted = _kinds(state)
    begin = mac_address(after) if after else None
    config, now, follow = load(context.obj), time.time(), 0
    with Registry(config.registry) as registry:
        pages = gather_clients(config, registry, begin, limit or -1, wanted, now, label)
        if as_json:
            show_json_pages(views.client_views(page, now) for page in pages)
            return
        clients: list[ClientView] = []
        for page in pages:
            clients += views.client_views(page, now)
            follow = page.follow
    headings = ("MAC", "label", "state", "address", "BOINC host", "last heard")
    such = " ".join(filter(None, (label and f"with the label {label!r}", state and f"is {state}")))
    nobody = f"No PC {such}." if such else "No PC has booted yet."
    show_table(headings, [_row(client) for client in clients], nobody)
    if follow:
        say(f"… and {follow:,} more (--after {clients[-1].mac}, or --limit 0)")


@app.command(epilog="Example: netboot-appliance clients show 52:54:00:aa:bb:cc")
def show(
    context: typer.Context,
    mac: Annotated[str, MAC],
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Show a PC: what it does, its tasks, projects and messages, its orders and its latest boots.

    With its GUI RPC password (for BOINC Manager) and its state directory.
    """
    address = mac_address(mac)
    config, now = load(context.obj), time.time()
    with Registry(config.registry) as registry:
        record = gather_client(config, registry, address, now)
    client = views.details(record, now)
    if as_json:
        show_json(views.as_json(client))
    else:
        _show(client)


def _row(client: ClientView) -> tuple[str, ...]:
    label = client.label if client.allowed else "(no longer allowed)"
    boot, now = client.boot, client.now
    if boot is None or now is None:
        return (client.mac, label, "", "", "", ago(client.first_seen))
    address = boot.addresses[-1] if boot.addresses else ""
    return (client.mac, label, now.words, address, boot.host_id, ago(now.heard))


def _show(client: ClientDetails) -> None:
    say(f"MAC                {client.client.mac}")
    say(f"host name          {client.host_name}")
    if now := client.client.now:
        say(f"state              {now.words}")
    say(f"allowed            {f'by {client.allowed_by}' if client.allowed_by else 'no longer'}")
    if client.schedule:
        say(f"schedule           {client.schedule.name}: {in_words(client.schedule)}")
    if away := client.outside:
        until = "" if away.until is None else f", until {soon(away.until)}"
        say(f"                   a boot now starts its own disk: {away.why}{until}")
    if client.image:
        say(f"image              {client.image}")
    if client.no_image:
        say(f"                   {client.no_image[0]}", f"                   do: {client.no_image[1]}")
    if upcoming := client.next_boot:
        say(f"next boot          {upcoming.entry}{' (under way)' if upcoming.taken else ''}")
    if back := client.gone_back:
        say(f"went back          {back.words}")
    say(f"first seen         {moment(client.client.first_seen)}")
    say(f"GUI RPC password   {client.gui_rpc_password}")
    say(f"state directory    {client.state}")
    for known in client.firmware:
        say(f"offer              {known.summary}")
    show_heartbeat(client)
    for boot in client.boots[-_BOOTS_SHOWN:]:
        say("", f"boot of {moment(boot.started)}, image {boot.release or '(none)'}")
        show_boot(boot)
