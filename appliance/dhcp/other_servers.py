"""Finds other DHCP servers in a network where the box is to be the only one: two could lease one address twice.

Looks once, before the box serves (docs/dhcp.md). `doctor` looks again each time it is called.
"""

import asyncio
from collections.abc import Sequence
from ipaddress import IPv4Address

from appliance.errors import UserError
from appliance.network import ports
from services.linux.interfaces import Interface
from services.linux.sockets import BindError
from services.probe.find_servers_udp import find_servers
from services.probe.message import NOWHERE
from services.probe.server_questions import HeardServer

SECONDS = 4.0
"""How long to wait for answers: dnsmasq pings an address for 3 s before it offers it."""

REMEDIES = (
    'let it give the addresses: mode = "proxy" under [dhcp]; or stop it; or, if the two share the addresses, '
    "force = true under [dhcp]"
)
"""What to do about it."""

_PORT_68 = (
    "find it: sudo ss -lnup 'sport = :68'. If it is a DHCP client, give this host a fixed address: the client would "
    "otherwise get one from the box. Or skip the check: force = true under [dhcp]"
)


async def assert_alone(interfaces: Sequence[Interface]) -> None:
    """Ask on all interfaces at once and return, after SECONDS, if nobody offers an address.

    Raises UserError if somebody does, or if it cannot ask. The error's code is 1: once the other server has been
    stopped, systemd's next try succeeds. The box's own DHCP server must not be listening yet: it would answer.
    """
    answers = await asyncio.gather(*(_ask(each) for each in interfaces))
    found = [(i, offer) for i, heard in zip(interfaces, answers, strict=True) for offer in _address_offers(heard)]
    if found:
        what = "; ".join(f"{each.source} on {i.name}, which offered {each.offer.yiaddr}" for i, each in found)
        raise UserError(f"another DHCP server answers: {what}", REMEDIES, code=1)


async def _ask(interface: Interface) -> list[HeardServer]:
    try:
        return [each for each in await find_servers(interface.name, SECONDS) if each.source != interface.address.ip]
    except BindError as error:
        explained = ports.explain(error)
        hint = explained.hint if isinstance(error.cause, PermissionError) else _PORT_68
        raise UserError(explained.message, hint, code=1) from error
    except OSError as error:
        what = f"cannot ask on {interface.name} whether another DHCP server answers: {error.strerror}"
        raise UserError(what, f"check: ip address show {interface.name}", code=1) from error


def _address_offers(heard: Sequence[HeardServer]) -> list[HeardServer]:
    """Each server's first offer of an address."""
    first: dict[IPv4Address, HeardServer] = {}
    for each in heard:
        if each.offer.yiaddr != NOWHERE:
            first.setdefault(each.source, each)
    return list(first.values())
