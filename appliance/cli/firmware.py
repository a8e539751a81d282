"""What the box has learned of firmware: how `status` and `clients show` print it, and `clients forget`."""

from typing import Annotated, Any

import typer

from appliance.cli.output import ago, show_table
from appliance.config.file import load
from appliance.errors import UserError
from appliance.firmware.knowledge import FirmwareKnowledge
from appliance.firmware.table import forget, read
from appliance.registry.database import Registry
from services.ethernet import MacAddress

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
    try:
        address = MacAddress.parse(mac) if mac else None
    except ValueError as error:
        raise UserError(str(error), "nothing was changed") from None
    with Registry(load(context.obj).registry) as registry:
        count = forget(registry, read(registry) if address is None else [address])
    if address and not count:
        raise UserError(
            f"nothing was learned of {address}", "nothing was changed; see what was: netboot-appliance status"
        )
    many = "1 PC" if count == 1 else f"{count} PCs"
    typer.echo(f"forgot what the firmware of {address or many} takes")


def learned_json(mac: MacAddress, known: FirmwareKnowledge) -> dict[str, Any]:
    """What was learned of one firmware of a PC, as scripts read it."""
    return {
        "mac": str(mac),
        "firmware": known.fingerprint,
        "profile": known.profile.value,
        "worked": known.worked,
        "why": known.why.value,
        "at": known.at,
    }


def show_learned(learned: list[tuple[MacAddress, FirmwareKnowledge]]) -> None:
    """Print the table that `status` has; nothing where there is none to print."""
    if learned:
        typer.echo("\nPCs that the standard offer does not suit:")
        rows = [(str(m), k.profile.value, _worked(k), k.why.value, k.fingerprint, ago(k.at)) for m, k in learned]
        show_table(("MAC", "offer", "works", "because", "firmware", "since"), rows, "")


def offer_words(known: FirmwareKnowledge) -> str:
    """What one firmware is offered, in a line."""
    because = f" because {known.why}" if known.why else ""
    return f"{known.profile}{because}, {'works' if known.worked else 'has not worked yet'} ({known.fingerprint})"


def _worked(known: FirmwareKnowledge) -> str:
    return "yes" if known.worked else "not yet"
