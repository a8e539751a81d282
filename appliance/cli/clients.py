"""`clients`: the PCs that have booted, and what each of them did."""

import time
from typing import Annotated

import typer

from appliance.cli import firmware
from appliance.cli.arguments import JSON, MAC, mac_address
from appliance.cli.output import ago, moment, say, show_json, show_table, size
from appliance.config.file import load
from appliance.registry.database import Registry
from appliance.view import clients as views
from appliance.view.boots import BootView
from appliance.view.clients import ClientDetails, ClientView
from appliance.view.facts import gather_client, gather_clients

app = typer.Typer(name="clients", help="Show the PCs that have booted at least once.", no_args_is_help=True)
app.command("forget", epilog=firmware.FORGET_EPILOG)(firmware.forget_)
_BOOTS_SHOWN = 3


@app.command("list", epilog="Example: netboot-appliance clients list --limit 0 --json")
def list_(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=0, help="How many PCs to list; 0: all.")] = 1000,
    after: Annotated[str, typer.Option(help="Begin after this MAC address.", show_default=False)] = "",
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """List the PCs with their latest boots, by MAC address."""
    begin = mac_address(after) if after else None
    config, now = load(context.obj), time.time()
    with Registry(config.registry) as registry:
        known = gather_clients(config, registry, begin, limit or -1, now)
    clients = views.client_views(known, now)
    if as_json:
        show_json(clients)
    else:
        headings = ("MAC", "label", "stage", "address", "BOINC host", "last heard")
        show_table(headings, [_row(client) for client in clients], "No PC has booted yet.")
        if known.follow:
            say(f"… and {known.follow:,} more (--after {clients[-1].mac}, or --limit 0)")


@app.command(epilog="Example: netboot-appliance clients show 52:54:00:aa:bb:cc")
def show(
    context: typer.Context,
    mac: Annotated[str, MAC],
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Show a PC: its GUI RPC password (for BOINC Manager), its state directory and its latest boots."""
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
    boot = client.boot
    if boot is None:
        return (client.mac, label, "", "", "", ago(client.first_seen))
    address = boot.addresses[-1] if boot.addresses else ""
    return (client.mac, label, boot.progress, address, boot.host_id, ago(boot.last_event))


def _show(client: ClientDetails) -> None:
    say(f"MAC                {client.client.mac}")
    say(f"host name          {client.host_name}")
    say(f"allowed            {f'by {client.allowed_by}' if client.allowed_by else 'no longer'}")
    if upcoming := client.next_boot:
        say(f"next boot          {upcoming.entry}{' (under way)' if upcoming.taken else ''}")
    say(f"first seen         {moment(client.client.first_seen)}")
    say(f"GUI RPC password   {client.gui_rpc_password}")
    say(f"state directory    {client.state}")
    for known in client.firmware:
        say(f"offer              {known.summary}")
    for boot in client.boots[-_BOOTS_SHOWN:]:
        _show_boot(boot)


def _show_boot(boot: BootView) -> None:
    say("", f"boot of {moment(boot.started)}, image {boot.release or '(none)'}")
    for reached in boot.stages:
        say(f"  {reached.at:8.1f} s  {reached.stage}")
    for transfer in boot.transfers:
        result = transfer.failed or f"{size(transfer.sent)} of {size(transfer.size)}"
        say(f"             {transfer.service} {transfer.path}: {result}")
    if boot.failure:
        say(f"             failed: {boot.failure}")
    if boot.diagnosis:
        say(f"             {boot.diagnosis.words}", f"             do: {boot.diagnosis.cure}")
