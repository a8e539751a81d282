"""`doctor probe` and `doctor pcap`: a PC's network boot in words, played from this host or read from a capture."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from appliance.cli.arguments import JSON, mac_address
from appliance.cli.output import say, show_json
from appliance.config.file import load
from appliance.view.explanation import explanation_view
from appliance.view.words import ago
from services.probe.explanation import lines
from services.probe.firmware import Agent
from services.probe.verdict import Outcome


class Arch(StrEnum):
    """The firmware that a probe plays."""

    BIOS = "bios"
    UEFI = "uefi-x64"
    UEFI_HTTP = "uefi-http"
    IPXE = "ipxe"


def probe(
    context: typer.Context,
    mac: Annotated[str, typer.Argument(help="The MAC address of the PC to play.", metavar="MAC", show_default=False)],
    arch: Annotated[Arch, typer.Option("--arch", help="The firmware to play.")] = Arch.UEFI,
    interface: Annotated[
        str,
        typer.Option("--interface", help="Ask on this interface instead of the configured one.", show_default=False),
    ] = "",
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Play a PC that boots: ask for offers, judge them as its firmware would, and fetch the files.

    Takes no lease. The box gives files only to the PC's own MAC address: from another host, TFTP and HTTP are refused.
    The box treats the probe as a power-on of that PC, and `status` shows it. Exit code: 0 it boots, 1 it would not,
    2 bad input.
    """
    from appliance.doctor.probe import prepare

    client, agent = mac_address(mac), Agent(arch.value)
    # Other hosts on the segment have no configuration, and need none.
    config = None if interface and not context.obj.exists() else load(context.obj)
    prepared = prepare(config, client, agent, interface)
    if prepared.box and (boot := prepared.box.running_boot()):
        say(
            f"warning: {client} has booted ({boot.stage}, last heard {ago(boot.last_event)}): the box takes this "
            "probe for its next power-on, and `status` shows that until it boots again",
            err=True,
        )
    say(f"playing {agent.words} as {client}; waiting some seconds for offers …", err=True)
    explanation = prepared.run()
    if as_json:
        show_json(explanation_view(explanation))
    else:
        say(*lines(explanation))
    raise typer.Exit(0 if explanation.verdict.outcome is Outcome.BOOTS else 1)


def pcap(
    file: Annotated[
        Path,
        typer.Argument(
            help="A capture (pcap or pcapng) from the PC's switch port or from the box.", show_default=False
        ),
    ],
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Explain a capture: what each PC sent and received, and why it boots or does not.

    Capture with: tcpdump -i eth0 -w boot.pcap. Exit code: 0 every PC in it boots, 1 one was not seen to, 2 bad input.
    """
    from appliance.doctor.probe import explain_capture

    found = explain_capture(file)
    if as_json:
        show_json({"clients": [explanation_view(each) for each in found.clients], "others": found.others})
    else:
        for number, each in enumerate(found.clients):
            say(*([""] if number else []), *lines(each))
        if found.others:
            say("", f"{found.others} other hosts in it did not ask to boot.")
    raise typer.Exit(0 if all(each.verdict.outcome is Outcome.BOOTS for each in found.clients) else 1)
