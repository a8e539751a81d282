"""`boot`: choose what a PC starts at its next boot."""

from typing import Annotated

import typer

from appliance.boot import next_boot, next_choice
from appliance.cli.arguments import MAC, mac_address
from appliance.cli.output import say
from appliance.config.file import load
from appliance.config.menu import KINDS
from appliance.errors import UserError
from appliance.images import rollout_table
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
    clear: Annotated[
        bool,
        typer.Option(
            "--clear", help="Cancel it; boot the active release again, if the PC went back to an earlier one by itself."
        ),
    ] = False,
) -> None:
    """Start ENTRY at the next boot of a PC, at once and without a password. The boot after that is normal."""
    if clear == bool(entry):
        raise UserError("name an entry or use --clear", "list the entries: netboot-appliance menu show")
    address = mac_address(mac, _NOTHING)
    if entry:
        next_choice.check(entry)
    config = load(context.obj)
    with Registry(config.registry) as registry:
        if clear:
            done = next_boot.clear(registry, address)
            # Both are evaluated: it may have an entry, and have gone back to an earlier release by itself.
            done = rollout_table.stay(registry, address) or done
            say(f"{address} boots normally" if done else f"no entry was set for the next boot of {address}")
            return
        next_choice.choose(config, registry, address, entry)
    say(f"{address} starts {entry} at its next boot")
