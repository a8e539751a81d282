"""Whose frames a granted address comes in: its own on our links, a router's behind one. PURE.

Turns grants into the pairs of MAC and IP address that the wall before the NFS ports lets in, and into neighbours to
pin. appliance/exports/wall.py asks the kernel and applies them.
"""

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from ipaddress import IPv4Address

from appliance.exports.grants import ExportGrant
from appliance.exports.request import HEARD_SECONDS, MOST_CLAIMS
from services.ethernet import MacAddress
from services.linux.next_hops import Neighbour, NextHop, Place
from services.nfs.wall import Pair


@dataclass(frozen=True, slots=True)
class Senders:
    """`pairs` may send to the NFS ports. `pins` are neighbours that keep their MAC address. `unknown` are granted
    addresses that nobody may use, because no one client has them, or nothing says through whom they are reached."""

    pairs: frozenset[Pair]
    pins: Mapping[Place, MacAddress]
    unknown: frozenset[IPv4Address]


def decide_senders(
    grants: Sequence[ExportGrant],
    hops: Mapping[IPv4Address, NextHop],
    routers: Mapping[Place, tuple[MacAddress, ...]],
) -> Senders:
    """The senders for these grants. `routers` have the MAC addresses of each router; packets to it get the first."""
    pairs: set[Pair] = set()
    pins: dict[Place, MacAddress] = {}
    unknown: set[IPv4Address] = set()
    # The exports tell clients apart by their address alone.
    owners = Counter(address for grant in grants for address in grant.addresses)
    for grant in grants:
        for address in grant.addresses:
            hop = hops.get(address)
            if hop is None or owners[address] > 1:
                unknown.add(address)
            elif hop.router is None:
                pairs.add((grant.mac, address))
                if grant.pinned:
                    pins[hop.interface, address] = grant.mac
            elif macs := routers.get((hop.interface, hop.router)):
                pairs.update((mac, address) for mac in macs)
                pins[hop.interface, hop.router] = macs[0]
            else:
                unknown.add(address)
    return Senders(frozenset(pairs), pins, frozenset(unknown))


def believed(neighbour: Neighbour | None, heard: Set[MacAddress]) -> MacAddress | None:
    """The MAC address of a router that the configuration does not name, or None: ask for it (again).

    It is believed on first use, and then for as long as a client behind it is `heard`. A pin through which nobody has
    been heard for HEARD_SECONDS may be that of a router that was replaced.
    """
    if neighbour is None:
        return None
    silent = neighbour.seconds > HEARD_SECONDS and neighbour.mac not in heard
    return None if neighbour.ours and silent else neighbour.mac


def tell_heard(senders: Senders, heard: Mapping[Pair, float]) -> dict[str, float]:
    """The seconds since the last packet of each granted address, in the form of an answer."""
    told: dict[str, float] = {}
    for pair, seconds in heard.items():
        if pair in senders.pairs and seconds <= HEARD_SECONDS:
            told[str(pair[1])] = min(seconds, told.get(str(pair[1]), HEARD_SECONDS))
    return told


def tell_claims(
    senders: Senders, grants: Sequence[ExportGrant], claims: Mapping[Pair, float]
) -> tuple[tuple[str, str], ...]:
    """Who else used which granted address, the latest first, in the form of an answer."""
    granted = {address for grant in grants for address in grant.addresses} - senders.unknown
    latest = sorted((seconds, pair) for pair, seconds in claims.items())
    others = [(str(address), str(mac)) for _, (mac, address) in latest if address in granted]
    own = {(str(address), str(mac)) for mac, address in senders.pairs}
    return tuple(claim for claim in others if claim not in own)[:MOST_CLAIMS]
