"""Whether the interfaces to the PCs are up, with a cable, a fixed address and full frames. PURE except `check`."""

from collections.abc import Sequence

from appliance.config.file import Config
from appliance.doctor.finding import Finding, error, note, ok, warning
from services.linux.interfaces import Link, links

WHOLE_FRAME = 1500
"""The MTU of Ethernet, which boot firmware relies on."""


def judge(name: str, found: Sequence[Link]) -> list[Finding]:
    """Judge the configured interface `name` among all that there are."""
    link = next((link for link in found if link.name == name), None)
    if link is None or not link.ethernet:
        usable = ", ".join(link.name for link in found if link.ethernet) or "none"
        what = f"there is no interface {name}" if link is None else f"{name} is not an Ethernet interface"
        return [
            error(
                "interface",
                f"{what}; there are: {usable}",
                "the server cannot start without it",
                "name the interface that leads to the PCs in the configuration: [server] interfaces",
            )
        ]
    return [*_judge_state(link), *_judge_address(link), *_judge_mtu(link)]


def _judge_state(link: Link) -> list[Finding]:
    if not link.up:
        return [error("interface", f"{link.name} is down", "no PC can be heard", f"ip link set {link.name} up")]
    if not link.carrier:
        return [
            error(
                "interface",
                f"{link.name} has no link",
                "no PC can be heard",
                "check the cable and the switch, or the ports of the bridge",
            )
        ]
    return [ok("interface", f"{link.name} is up")]


def _judge_address(link: Link) -> list[Finding]:
    fixed = "give it a fixed address outside the DHCP range, in /etc/network/interfaces or wherever this host sets it"
    if not link.addresses:
        why = "the server cannot start without one"
        return [error("address", f"{link.name} has no IPv4 address", why, fixed)]
    # The first one is what the server uses.
    first = link.addresses[0]
    if first.seconds is not None:
        return [
            warning(
                "address",
                f"{first.address} on {link.name} is leased, and expires in {first.seconds} s",
                "when it changes, every PC loses its root and its work stops",
                f"{fixed}, or reserve this one in the DHCP server",
            )
        ]
    if others := ", ".join(str(each.address) for each in link.addresses[1:]):
        what = f"{link.name} has the fixed address {first.address}, and others: {others}"
        return [note("address", what, "the server answers only on the first one, and sends PCs to it")]
    return [ok("address", f"{link.name} has the fixed address {first.address}")]


def _judge_mtu(link: Link) -> list[Finding]:
    if link.mtu >= WHOLE_FRAME:
        return [ok("mtu", f"{link.name} carries frames of {link.mtu} bytes")]
    return [
        warning(
            "mtu",
            f"the MTU of {link.name} is {link.mtu}, less than {WHOLE_FRAME}",
            "firmware asks for TFTP blocks of up to 1468 bytes: they arrive in fragments, which many ROMs drop",
            f"ip link set {link.name} mtu {WHOLE_FRAME}, and the same on the bridge or tunnel it belongs to",
        )
    ]


def check(config: Config) -> list[Finding]:
    """Ask the kernel about the configured interfaces."""
    found = links()
    return [finding for name in config.server.interfaces for finding in judge(name, found)]
