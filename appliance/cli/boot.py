"""`boot`: what a PC starts at its next boot."""

from typing import Annotated

import typer

from appliance.allowlist import BootSettings
from appliance.boot import next_boot
from appliance.boot.preview import preview
from appliance.config.file import load
from appliance.config.menu import KINDS, check_entry
from appliance.errors import UserError
from appliance.registry.database import Registry
from services.ethernet import MacAddress

app = typer.Typer(name="boot", help="What a PC starts at its next boot.", no_args_is_help=True)
_NOTHING = "nothing was changed"


@app.callback()
def boot() -> None:
    """What a PC starts at its next boot."""


@app.command("next", epilog="Example: netboot-appliance boot next 52:54:00:aa:bb:cc memtest")
def next_(
    context: typer.Context,
    mac: Annotated[str, typer.Argument(help="A MAC address.", show_default=False)],
    entry: Annotated[
        str, typer.Argument(help=f"{', '.join(KINDS)} or image:RELEASE, also one that the menu does not show.")
    ] = "",
    clear: Annotated[bool, typer.Option("--clear", help="Take it back.")] = False,
) -> None:
    """Start ENTRY at the next boot of a PC, at once and without a password; the boot after it is as ever."""
    if clear == bool(entry):
        raise UserError("name an entry, or give --clear", "see the entries with: netboot-appliance menu show")
    try:
        address = MacAddress.parse(mac)
        if entry:
            check_entry(entry)
    except ValueError as error:
        raise UserError(str(error), _NOTHING) from None
    config = load(context.obj)
    with Registry(config.registry) as registry:
        if clear:
            done = next_boot.clear(registry, address)
            typer.echo(f"{address} boots as ever" if done else f"nothing was asked for the next boot of {address}")
            return
        if address not in registry.allowlist():
            raise UserError(f"{address} is not allowed; {_NOTHING}", f"netboot-appliance allow add {address}")
        decided = preview(config, BootSettings(), entry, address)
        if decided.menu.default != entry:
            raise UserError(next((m for m in decided.missing if m.startswith(entry)), entry), _NOTHING)
        next_boot.ask(registry, address, entry)
    typer.echo(f"{address} starts {entry} at its next boot")
