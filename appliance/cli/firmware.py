"""What the box has learned about firmware: the table of `status`, and `clients forget`."""

from collections.abc import Sequence
from typing import Annotated

import typer

from appliance.cli.arguments import mac_address
from appliance.cli.output import ago, show_table
from appliance.config.file import load
from appliance.errors import UserError
from appliance.firmware.table import forget, read
from appliance.registry.database import Registry
from appliance.view.firmware import FirmwareView

FORGET_EPILOG = (
    "The PC's work (its BOINC state), its place in the allowlist and its history stay, and a boot that is under way"
    " goes on. When it asks the next time it gets the standard offer, or what other PCs of its firmware take: --all"
    " forgets that too. Example: netboot-appliance clients forget 52:54:00:aa:bb:cc"
)


def forget_(
    context: typer.Context,
    mac: Annotated[str, typer.Argument(help="A MAC address.", show_default=False)] = "",
    everything: Annotated[bool, typer.Option("--all", help="Forget it of every PC.")] = False,
) -> None:
    """Forget what was learned of a PC's firmware: which kind of offer it takes."""
    if everything == bool(mac):
        raise UserError("name a MAC address, or give --all", "see what was learned with: netboot-appliance status")
    address = mac_address(mac, "nothing was changed") if mac else None
    with Registry(load(context.obj).registry) as registry:
        count = forget(registry, read(registry) if address is None else [address])
    if address and not count:
        raise UserError(
            f"nothing was learned of {address}", "nothing was changed; see what was: netboot-appliance status"
        )
    many = "1 PC" if count == 1 else f"{count} PCs"
    typer.echo(f"forgot what the firmware of {address or many} takes")


def show_firmware(learned: Sequence[FirmwareView]) -> None:
    """Print the table that `status` has; nothing where there is none to print."""
    if learned:
        typer.echo("\nPCs that the standard offer does not suit:")
        rows = [
            (each.mac, each.profile, "yes" if each.worked else "not yet", each.why, each.firmware, ago(each.at))
            for each in learned
        ]
        show_table(("MAC", "offer", "works", "because", "firmware", "since"), rows, "")
