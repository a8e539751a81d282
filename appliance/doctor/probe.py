"""One network boot played from this host, or read from a capture, and explained. Prints nothing.

services/probe speaks the protocol; this module adds what the box on this host knows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from appliance.config.file import Config
from appliance.doctor.own_box import OwnBox
from appliance.errors import UserError
from appliance.network.interfaces import interfaces
from services.ethernet import MacAddress
from services.linux.interfaces import Interface, interface_address
from services.probe import capture
from services.probe.client import Probe
from services.probe.explanation import Explanation, explain
from services.probe.firmware import Agent


@dataclass(frozen=True)
class BootProbe:
    """A boot of the PC `mac` with the firmware `agent`, asked for on `interface`. `box` is the box on this host, if
    there is one."""

    interface: Interface
    mac: MacAddress
    agent: Agent
    box: OwnBox | None

    def run(self) -> Explanation:
        """Play the boot; takes some seconds. Raises UserError when it cannot be played."""
        answer = partial(self.box.answer, self.interface.address.ip) if self.box else None
        probe = Probe(self.interface, self.mac, self.agent, self.box.expected if self.box else _unknown, answer)
        try:
            packets = probe.run()
        except PermissionError:
            raise UserError("cannot play a DHCP client: permission denied", "run as root (sudo)", code=1) from None
        except OSError as error:
            raise UserError(
                f"the probe cannot go on: {error.strerror or error}", "is the interface up?", code=1
            ) from None
        if self.box:
            packets = [*packets, *self.box.check_refused(packets, self.agent)]
        return explain(self.mac, packets, self.box.facts() if self.box else None)


@dataclass(frozen=True, slots=True)
class ExplainedCapture:
    """The PCs of a capture that asked to boot, or else those that asked for an address; `others` counts the rest."""

    clients: Sequence[Explanation]
    others: int


def prepare(config: Config | None, mac: MacAddress, agent: Agent, interface: str) -> BootProbe:
    """A probe by the interface of this name; empty: the configured one. Raises UserError when there is none."""
    return BootProbe(_interface(config, interface), mac, agent, OwnBox(config, mac) if config else None)


def explain_capture(file: Path) -> ExplainedCapture:
    """Explain a pcap or pcapng file; raises UserError when it holds no boot."""
    try:
        clients = capture.read(file)
    except capture.CaptureError as error:
        raise UserError(str(error), "take one with: tcpdump -i eth0 -w boot.pcap") from None
    booting = {mac: packets for mac, packets in clients.items() if capture.boots(packets)}
    asking = {mac: packets for mac, packets in clients.items() if capture.configures(packets)}
    shown = [explain(mac, packets) for mac, packets in (booting or asking).items()]
    if not shown:
        raise UserError(
            f"{file} has no DHCP or TFTP of any PC in it",
            "capture at the PC's switch port or on the box, from before the PC is switched on",
        )
    return ExplainedCapture(shown, len(clients) - len(shown))


def _unknown(_: str) -> str:
    return ""


def _interface(config: Config | None, name: str) -> Interface:
    if name:
        try:
            return interface_address(name)
        except LookupError as error:
            raise UserError(str(error.args[0]), "see the names with: ip -brief address") from None
    assert config
    served = interfaces(config)
    if len(served) > 1:
        names = " or ".join(f"--interface {each.name}" for each in served)
        raise UserError("the box serves several interfaces, and a PC is on one of them", f"choose: {names}")
    return served[0]
