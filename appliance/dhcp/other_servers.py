"""Another DHCP server where the box is to be the DHCP server: two of them give one address to two machines.

Looks once, before the box serves (docs/dhcp.md); `doctor` looks again whenever it is asked.
"""

import asyncio
from collections.abc import Sequence
from ipaddress import IPv4Address

from appliance.errors import UserError
from appliance.network import ports
from services.linux.interfaces import Interface
from services.linux.sockets import BindError
from services.probe.find_servers_raw import HeardServer
from services.probe.find_servers_udp import rollcall
from services.probe.message import NOWHERE

SECONDS = 4.0
"""How long answers are awaited: dnsmasq first pings an address for 3 s before it offers it."""

CURES = (
    'leave the addresses to it: mode = "proxy" under [dhcp]; or stop it; or, where the two share out the addresses, '
    "force = true under [dhcp]"
)
"""What to do about it."""

_PORT_68 = (
    "see who: sudo ss -lnup 'sport = :68'; a DHCP client there would take an address from the box itself: give this "
    "host a fixed one; or do not ask: force = true under [dhcp]"
)


async def assert_alone(interfaces: Sequence[Interface]) -> None:
    """Ask by all interfaces at once and return, after SECONDS, when nobody offers an address.

    Raises UserError when somebody does, or when it cannot be asked. Its code is 1: as soon as the other server is
    stopped, systemd's next try serves. Nothing may listen for the box yet: it would hear itself.
    """
    answers = await asyncio.gather(*(_ask(each) for each in interfaces))
    found = [(i, lease) for i, heard in zip(interfaces, answers, strict=True) for lease in _leases(heard)]
    if found:
        what = "; ".join(f"{o.source} on {i.name}, which offered {o.offer.yiaddr}" for i, o in found)
        raise UserError(f"another DHCP server answers: {what}", CURES, code=1)


async def _ask(interface: Interface) -> list[HeardServer]:
    try:
        return [each for each in await rollcall(interface.name, SECONDS) if each.source != interface.address.ip]
    except BindError as error:
        explained = ports.explain(error)
        hint = explained.hint if isinstance(error.cause, PermissionError) else _PORT_68
        raise UserError(explained.message, hint, code=1) from error
    except OSError as error:
        what = f"cannot ask on {interface.name} whether another DHCP server answers: {error.strerror}"
        raise UserError(what, f"look at: ip address show {interface.name}", code=1) from error


def _leases(heard: Sequence[HeardServer]) -> list[HeardServer]:
    """The first offer of an address by each server."""
    first: dict[IPv4Address, HeardServer] = {}
    for each in heard:
        if each.offer.yiaddr != NOWHERE:
            first.setdefault(each.source, each)
    return list(first.values())
