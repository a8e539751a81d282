"""`clients`: the PCs that have booted, and what each did."""

import time
from typing import Annotated, Any

import typer

from appliance.allowlist import Allowlist
from appliance.boot import next_boot
from appliance.cli import firmware
from appliance.cli.output import ago, moment, show_json, show_table, size
from appliance.config.file import load
from appliance.errors import UserError
from appliance.firmware import table
from appliance.journal import recorder
from appliance.journal.timeline import CURES, Boot
from appliance.registry.database import Client, Registry
from services.ethernet import MacAddress

app = typer.Typer(name="clients", help="The PCs that have booted at least once.", no_args_is_help=True)
app.command("forget", epilog=firmware.FORGET_EPILOG)(firmware.forget_)
_JSON = typer.Option("--json", help="For scripts.")


@app.command("list", epilog="Example: netboot-appliance clients list")
def list_(context: typer.Context, as_json: Annotated[bool, _JSON] = False) -> None:
    """List the PCs, with their latest boot."""
    with Registry(load(context.obj).registry) as registry:
        clients = registry.clients()
        boots = {boot.mac: boot for boot in recorder.latest(registry)}
        allowed = registry.allowlist()
    if as_json:
        show_json([_client(c, boots.get(c.mac), allowed) for c in clients])
        return
    rows = [_row(c, boots.get(c.mac), allowed) for c in clients]
    show_table(("MAC", "label", "stage", "address", "BOINC host", "last heard"), rows, "No PC has booted yet.")


@app.command(epilog="Example: netboot-appliance clients show 52:54:00:aa:bb:cc")
def show(
    context: typer.Context,
    mac: Annotated[str, typer.Argument(help="A MAC address.", show_default=False)],
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Show a PC: its GUI RPC password (for BOINC Manager), its state directory and its latest boots."""
    try:
        address = MacAddress.parse(mac)
    except ValueError as error:
        raise UserError(str(error)) from None
    config = load(context.obj)
    with Registry(config.registry) as registry:
        client = registry.client(address)
        if client is None:
            allowed = address in registry.allowlist()
            hint = "switch it on" if allowed else f"allow it first: netboot-appliance allow add {address}"
            raise UserError(f"{address} has not booted yet", hint)
        boots = recorder.history(registry, address)
        allowlist = registry.allowlist()
        following = next((n for n in next_boot.all_of(registry) if n.mac == address), None)
        learned = table.read(registry).get(address, ())
    state = str(config.state / address.bare)
    if as_json:
        latest = boots[-1] if boots else None
        show_json(
            _client(client, latest, allowlist)
            | {"gui_rpc_password": client.gui_rpc_password, "state": state, "boots": [boot_json(b) for b in boots]}
            | {"firmware": [firmware.learned_json(address, known) for known in learned]}
            | {"next_boot": following.entry if following and not following.taken else None}
        )
        return
    entry = allowlist.decide(address)
    typer.echo(f"MAC                {address}")
    typer.echo(f"host name          boinc-{address.bare}")
    typer.echo(f"allowed            {f'by {entry.range} {entry.label}'.rstrip() if entry else 'no longer'}")
    if following:
        typer.echo(f"next boot          {following.entry}{' (under way)' if following.taken else ''}")
    typer.echo(f"first seen         {moment(client.first_seen)}")
    typer.echo(f"GUI RPC password   {client.gui_rpc_password}")
    typer.echo(f"state directory    {state}")
    for known in learned:
        typer.echo(f"offer              {firmware.offer_words(known)}")
    for boot in boots[-3:]:
        typer.echo(f"\nboot of {moment(boot.started)}, image {boot.release or '(none)'}")
        for reached in boot.reached:
            typer.echo(f"  {reached.at - boot.started:8.1f} s  {reached.stage}")
        for transfer in boot.transfers:
            state_of = transfer.failed or f"{size(transfer.sent)} of {size(transfer.size)}"
            typer.echo(f"             {transfer.service} {transfer.path}: {state_of}")
        if boot.failure:
            typer.echo(f"             failed: {boot.failure}")
        if diagnosis := boot.diagnosis(time.time()):
            typer.echo(f"             {diagnosis}")
            typer.echo("             do: " + "; or ".join(CURES))


def boot_json(boot: Boot) -> dict[str, Any]:
    """A boot as scripts read it; times in seconds since its start, sizes in bytes. The token is not among it."""
    return {
        "mac": str(boot.mac),
        "started": boot.started,
        "stage": boot.stage,
        "stages": [{"stage": r.stage, "at": round(r.at - boot.started, 3)} for r in boot.reached],
        "transfers": [
            {"path": t.path, "service": t.service, "sent": t.sent, "size": t.size, "failed": t.failed}
            for t in boot.transfers
        ],
        "addresses": [str(a) for a in boot.known_addresses],
        "release": boot.release,
        "entry": boot.entry,
        "host_id": boot.host_id,
        "failure": boot.failure,
        "diagnosis": boot.diagnosis(time.time()),
        "last_event": boot.last_event,
        "stalled": boot.stalled(time.time()),
    }


def stage_words(boot: Boot) -> str:
    """Where the boot is, for a table."""
    if boot.failure:
        return f"failed: {boot.failure}"
    under_way = next((t for t in reversed(boot.transfers) if not t.failed and t.sent < t.size), None)
    words = str(boot.stage or "") + ("" if boot.entry == "boinc" else f", {boot.entry}")
    if under_way:
        words += f", {under_way.path.rsplit('/', 1)[-1]} {100 * under_way.sent // under_way.size} %"
    if diagnosis := boot.diagnosis(time.time()):
        return f"{words} ({diagnosis})"
    return f"{words} (stalled)" if boot.stalled(time.time()) else words


def _client(client: Client, boot: Boot | None, allowed: Allowlist) -> dict[str, Any]:
    entry = allowed.decide(client.mac)
    return {
        "mac": str(client.mac),
        "label": entry.label if entry else "",
        "allowed": entry is not None,
        "first_seen": client.first_seen,
        "boot": boot_json(boot) if boot else None,
    }


def _row(client: Client, boot: Boot | None, allowed: Allowlist) -> tuple[str, ...]:
    entry = allowed.decide(client.mac)
    label = entry.label if entry else "(no longer allowed)"
    if boot is None:
        return (str(client.mac), label, "", "", "", ago(client.first_seen))
    address = str(boot.known_addresses[-1]) if boot.known_addresses else ""
    return (str(client.mac), label, stage_words(boot), address, boot.host_id, ago(boot.last_event))
