"""What the box has learned about firmware: the table of `status`, and `clients forget`."""

import os
import time
from collections.abc import Sequence
from typing import Annotated

import typer

from appliance.cli.arguments import mac_address
from appliance.cli.kept_work import set_aside
from appliance.cli.output import say, show_table
from appliance.config.file import Config, load
from appliance.errors import NotFoundError, UserError
from appliance.firmware.table import forget, read
from appliance.heartbeats.farewell import say_farewell
from appliance.registry.database import Registry
from appliance.view.firmware import FirmwareView
from appliance.view.words import ago, counted
from services.ethernet import MacAddress

FORGET_EPILOG = (
    "Without --history it keeps the PC's work (its BOINC state), its allowlist entry and its history, and does not"
    " disturb a boot that is under way. At its next boot the PC gets the standard offer, or the one that works for"
    " other PCs with the same firmware; --all forgets that too. Example: netboot-appliance clients forget MAC"
)


def forget_(
    context: typer.Context,
    mac: Annotated[str, typer.Argument(help="A MAC address.", show_default=False)] = "",
    everything: Annotated[bool, typer.Option("--all", help="Forget it for every PC.")] = False,
    history: Annotated[
        bool, typer.Option("--history", help="Forget a PC that is off: its boots and orders, too. Its work stays.")
    ] = False,
    work: Annotated[
        bool,
        typer.Option("--work", help="With --history: set its work aside, too; it is kept for 7 days. Only root can."),
    ] = False,
) -> None:
    """Forget which kind of offer a PC's firmware accepts; with --history, all that is known of the PC."""
    if everything == bool(mac) or (everything and history) or (work and not history):
        raise UserError("name a MAC address or use --all", "see what was learned: netboot-appliance status")
    address = mac_address(mac, "nothing was changed") if mac else None
    config = load(context.obj)
    with Registry(config.registry) as registry:
        if address and history:
            _forget_pc(config, registry, address, work=work)
            return
        count = forget(registry, read(registry) if address is None else [address])
    if address and not count:
        raise UserError(
            f"nothing was learned about {address}",
            "nothing was changed; see what was learned: netboot-appliance status",
        )
    many = "1 PC" if count == 1 else f"{count} PCs"
    say(f"forgot which offer the firmware of {address or many} accepts")


def _forget_pc(config: Config, registry: Registry, mac: MacAddress, *, work: bool) -> None:
    if work and os.geteuid() != 0:
        raise UserError("only root can set a PC's work aside; nothing was changed", "run with sudo")
    try:
        gone = say_farewell(config, registry, mac, time.time())
        kept = "" if work else "; its work stays"
        many = counted(gone.boots, "boot", "boots")
        say(f"forgot {mac}: {many}, its orders, and what was learned of its firmware{kept}")
    except NotFoundError:
        # Its history may be forgotten already.
        if not work:
            raise
    if work:
        set_aside(config, mac)


def show_firmware(learned: Sequence[FirmwareView]) -> None:
    """Print the table of `status`; nothing when it would be empty."""
    if learned:
        say("", "PCs that do not accept the standard offer:")
        rows = [
            (each.mac, each.profile, "yes" if each.worked else "not yet", each.why, each.firmware, ago(each.at))
            for each in learned
        ]
        show_table(("MAC", "offer", "works", "because", "firmware", "since"), rows, "")
