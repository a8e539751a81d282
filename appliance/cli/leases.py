"""`leases`: the addresses that the box leases as a DHCP server."""

import time
from typing import Annotated

import typer

from appliance.cli.arguments import JSON
from appliance.cli.output import show_json, show_table
from appliance.config.file import tolerant
from appliance.dhcp import leases
from appliance.registry.database import Registry
from appliance.view.leases import lease_views
from appliance.view.words import ago
from services.spans import span

app = typer.Typer(
    name="leases", help='Show the addresses that the box leases ([dhcp] mode = "server").', no_args_is_help=True
)


@app.command("list", epilog="Example: netboot-appliance leases list --json")
def show(context: typer.Context, as_json: Annotated[bool, JSON] = False) -> None:
    """List every address that a PC has or had, with the PC and the time that is left.

    A lease that has ended is kept for its PC until another PC needs the address. A blocked address is not given out for
    a while: a machine that did not get it from the box uses it.
    """
    with Registry(tolerant(context.obj).registry) as registry:
        known = leases.load(registry)
        allowed = registry.allowlist()
    now = time.time()
    shown = lease_views(known, allowed, now)
    if as_json:
        show_json(shown)
        return
    rows = [
        (
            each.address,
            each.mac,
            each.label,
            each.state,
            f"for {span(each.expires - now)}" if each.expires > now else ago(each.expires, now),
        )
        for each in shown
    ]
    show_table(("address", "MAC", "label", "state", "until"), rows, "No address has been leased yet.")
