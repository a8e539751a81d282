"""The wall before the NFS ports: nftables rules that judge each packet by its source MAC and IP address together.

PURE. Renders our own two tables as one transaction for `nft -f`, and reads what they recorded; services/nfs/nftables.py
runs nft. docs/adr/0012-the-wall-before-nfs.md says why. Packets that the host forwards, its loopback interface, and
interfaces and networks that it does not serve are left alone.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, collapse_addresses

from services.ethernet import MacAddress

TABLE = "netboot_appliance"
"""The name of both tables, of the families inet and arp."""

REMEMBERED_SECONDS = 300
"""For how long the tables remember a packet."""

Pair = tuple[MacAddress, IPv4Address]
"""The source addresses of a packet: of its frame, and its own."""

_NAME = re.compile(r"[A-Za-z0-9._:@+-]{1,15}")  # no wildcard, nothing that nft would read differently

# Removed together: in one transaction there is no moment without the one or the other.
REMOVE = "".join(f"add table {family} {TABLE}\ndelete table {family} {TABLE}\n" for family in ("inet", "arp"))
"""The transaction that removes our tables, whether or not they are there."""

_RULES = """\
add table inet netboot_appliance
flush table inet netboot_appliance
add table arp netboot_appliance
flush table arp netboot_appliance
table inet netboot_appliance {
    set interfaces { type ifname; }
    set networks { type ipv4_addr; flags interval; }
    set others { type ipv4_addr; flags interval; }
    set ports { type inet_proto . inet_service; }
    set privileged { type inet_proto . inet_service; }
    set granted { type ipv4_addr; }
    set pairs { type ether_addr . ipv4_addr; }
    set heard { type ether_addr . ipv4_addr; size 65536; flags dynamic,timeout; timeout 5m; }
    set claims { type ether_addr . ipv4_addr; size 1000; flags dynamic,timeout; timeout 5m; }
    chain guard {
        # After reassembly: a fragment without ports cannot slip by.
        type filter hook input priority filter - 10; policy accept;
        iif lo accept
        ip saddr @granted ether saddr . ip saddr != @pairs \\
            limit rate 50/second burst 50 packets update @claims { ether saddr . ip saddr }
        iifname @interfaces meta l4proto . th dport @ports goto nfs
        ip saddr @networks meta l4proto . th dport @ports goto nfs
    }
    chain nfs {
        ether saddr . ip saddr @pairs goto client
        ip saddr @granted drop
        ip saddr @others accept
        drop
    }
    chain client {
        meta l4proto . th dport @privileged th sport >= 1024 drop
        update @heard { ether saddr . ip saddr }
        accept
    }
}
table arp netboot_appliance {
    set granted { type ipv4_addr; }
    set pairs { type ether_addr . ipv4_addr; }
    set claims { type ether_addr . ipv4_addr; size 1000; flags dynamic,timeout; timeout 5m; }
    chain listen {
        type filter hook input priority filter - 10; policy accept;
        arp saddr ip @granted arp saddr ether . arp saddr ip != @pairs \\
            limit rate 50/second burst 50 packets update @claims { arp saddr ether . arp saddr ip }
    }
}
"""


@dataclass(frozen=True, slots=True)
class Wall:
    """Who may send packets to the NFS ports. `pairs` are the clients that have exports; `granted` are their addresses,
    also those for which no pair is known. `others` have exports of somebody else. `privileged` are those of `ports`,
    by transport ("tcp" or "udp") and number, that only ports below 1024 may talk to.

    Raises ValueError for an interface name that no rule can have.
    """

    interfaces: tuple[str, ...]
    networks: tuple[IPv4Network, ...]
    others: tuple[IPv4Network, ...]
    ports: frozenset[tuple[str, int]]
    privileged: frozenset[tuple[str, int]]
    granted: frozenset[IPv4Address]
    pairs: frozenset[Pair]

    def __post_init__(self) -> None:
        for name in self.interfaces:
            if not _NAME.fullmatch(name):
                raise ValueError(f"the interface {name!r} has a name that nftables rules cannot have")


def render(wall: Wall) -> str:
    """The transaction that puts the wall up, or this one in place of another. What was recorded is kept."""
    granted = [str(address) for address in sorted(wall.granted, key=int)]
    in_order = sorted(wall.pairs, key=lambda pair: (pair[0].value, int(pair[1])))
    pairs = [f"{mac} . {address}" for mac, address in in_order]
    sets: Mapping[tuple[str, str], Iterable[str]] = {
        ("inet", "interfaces"): (f'"{name}"' for name in sorted(wall.interfaces)),
        ("inet", "networks"): map(str, collapse_addresses(wall.networks)),
        ("inet", "others"): map(str, collapse_addresses(wall.others)),
        ("inet", "ports"): _ports(wall.ports),
        ("inet", "privileged"): _ports(wall.privileged),
        ("inet", "granted"): granted,
        ("inet", "pairs"): pairs,
        ("arp", "granted"): granted,
        ("arp", "pairs"): pairs,
    }
    return _RULES + "".join(_filled(family, name, list(elements)) for (family, name), elements in sets.items())


def recorded(listing: str) -> Iterator[tuple[Pair, float]]:
    """The pairs in a set that `nft --json list set` printed, and the seconds since each was last seen; 0 for those of a
    set without times.

    Raises ValueError for what nft does not print. See libnftables-json(5).
    """
    try:
        for each in json.loads(listing)["nftables"]:
            for found in each.get("set", {}).get("elem", ()):
                element = found.get("elem", {"val": found, "expires": REMEMBERED_SECONDS})
                mac, address = element["val"]["concat"]
                seconds = float(max(0, REMEMBERED_SECONDS - element["expires"]))
                yield (MacAddress.parse(mac), IPv4Address(address)), seconds
    except (LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"nft printed something else than a set of pairs: {error}") from None


def _ports(ports: Iterable[tuple[str, int]]) -> list[str]:
    return [f"{transport} . {port}" for transport, port in sorted(ports)]


def _filled(family: str, name: str, elements: list[str]) -> str:
    emptied = f"flush set {family} {TABLE} {name}\n"
    if not elements:
        return emptied
    listed = ",\n    ".join(elements)
    return f"{emptied}add element {family} {TABLE} {name} {{\n    {listed}\n}}\n"
