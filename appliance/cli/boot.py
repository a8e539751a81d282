"""`boot`: choose what a PC starts at its next boot."""

from typing import Annotated

import typer

from appliance.allowlist import BootSettings
from appliance.boot import next_boot
from appliance.boot.preview import preview
from appliance.cli.arguments import MAC, mac_address
from appliance.cli.output import say
from appliance.config.file import load
from appliance.config.menu import KINDS, check_entry
from appliance.errors import UserError
from appliance.registry.database import Registry

app = typer.Typer(name="boot", help="Choose what a PC starts at its next boot.", no_args_is_help=True)
_NOTHING = "nothing was changed"


@app.callback()
def boot() -> None:
    """Choose what a PC starts at its next boot."""


@app.command("next", epilog="Example: netboot-appliance boot next 52:54:00:aa:bb:cc memtest")
def next_(
    context: typer.Context,
    mac: Annotated[str, MAC],
    entry: Annotated[
        str, typer.Argument(help=f"{', '.join(KINDS)} or image:RELEASE; it need not be in the menu.")
    ] = "",
    clear: Annotated[bool, typer.Option("--clear", help="Cancel it.")] = False,
) -> None:
    """Start ENTRY at the next boot of a PC, at once and without a password. The boot after that is normal."""
    if clear == bool(entry):
        raise UserError("name an entry or use --clear", "list the entries: netboot-appliance menu show")
    address = mac_address(mac, _NOTHING)
    try:
        if entry:
            check_entry(entry)
    except ValueError as error:
        raise UserError(str(error), _NOTHING) from None
    config = load(context.obj)
    with Registry(config.registry) as registry:
        if clear:
            done = next_boot.clear(registry, address)
            say(f"{address} boots normally" if done else f"no entry was set for the next boot of {address}")
            return
        if address not in registry.allowlist():
            raise UserError(f"{address} is not allowed; {_NOTHING}", f"netboot-appliance allow add {address}")
        decided = preview(config, BootSettings(), entry)
        if decided.menu.default != entry:
            raise UserError(next((m for m in decided.missing if m.startswith(entry)), entry), _NOTHING)
        next_boot.ask(registry, address, entry)
    say(f"{address} starts {entry} at its next boot")
