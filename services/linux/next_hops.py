"""Who packets to an address go to: next hops, neighbours, and those whose MAC address is pinned. PURE.

A pin is a permanent entry of the kernel's neighbour tables, which no ARP changes, marked as ours. An entry that an
administrator made permanent is not ours, and stays. IPv4 only. services/linux/pins.py asks the kernel and pins.
"""

import sys
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address
from typing import NamedTuple

from services.ethernet import MacAddress
from services.linux import netlink
from services.linux.netlink import NetlinkMessage

PROTOCOL = 178
"""NDA_PROTOCOL of our entries: a number that neither linux/rtnetlink.h nor /etc/iproute2/rt_protos gives to others."""

Place = tuple[int, IPv4Address]
"""The index of an interface, and an address there."""

_UNICAST = 1  # RTN_UNICAST, linux/rtnetlink.h
_VIA_IPV6 = 18  # RTA_VIA
_USABLE = netlink.REACHABLE | netlink.STALE | netlink.DELAY | netlink.PROBE | netlink.PERMANENT


class NextHop(NamedTuple):
    """Where packets to an address go. `router` is None if it is a neighbour itself."""

    interface: int
    router: IPv4Address | None


class Neighbour(NamedTuple):
    """An entry whose MAC address the kernel uses. `seconds`: how long it has been so; `ours`: we pinned it."""

    mac: MacAddress
    permanent: bool
    ours: bool
    seconds: float


def read_route(message: NetlinkMessage) -> NextHop | None:
    """The next hop of the kernel's answer about one route; None if it is not one to another machine over IPv4."""
    if message.kind != netlink.NEW_ROUTE or not message.fields:
        return None
    *_, kind, _ = message.fields
    interface = message.attributes.get(netlink.ROUTE_INTERFACE, b"")
    router = message.attributes.get(netlink.ROUTE_GATEWAY)
    if kind != _UNICAST or len(interface) != 4 or _VIA_IPV6 in message.attributes or len(router or bytes(4)) != 4:
        return None
    return NextHop(int.from_bytes(interface, sys.byteorder), IPv4Address(router) if router else None)


def read_neighbours(messages: Iterable[NetlinkMessage]) -> dict[Place, Neighbour]:
    """The neighbours in the kernel's answer."""
    found: dict[Place, Neighbour] = {}
    for message in messages:
        if message.kind != netlink.NEW_NEIGHBOUR or not message.fields:
            continue
        _, interface, state, *_ = message.fields
        address = message.attributes.get(netlink.NEIGHBOUR_ADDRESS, b"")
        mac = message.attributes.get(netlink.NEIGHBOUR_MAC, b"")
        if state & _USABLE and len(address) == 4 and len(mac) == 6:
            found[interface, IPv4Address(address)] = Neighbour(
                MacAddress.from_bytes(mac),
                permanent := bool(state & netlink.PERMANENT),
                permanent and message.attributes.get(netlink.NEIGHBOUR_PROTOCOL, b"")[:1] == bytes([PROTOCOL]),
                netlink.seconds_since_change(message.attributes.get(netlink.NEIGHBOUR_TIMES, b"")),
            )
    return found


def reconcile(wanted: Mapping[Place, MacAddress], found: Mapping[Place, Neighbour]) -> dict[Place, bytes]:
    """The orders that make exactly `wanted` our pins, by place; those of others stay as they are."""
    orders: dict[Place, bytes] = {}
    for place, neighbour in found.items():
        if neighbour.ours and place not in wanted:
            orders[place] = netlink.delete_neighbour(*place)
    for place, mac in wanted.items():
        present = found.get(place)
        if present is None or not present.permanent or (present.ours and present.mac != mac):
            orders[place] = netlink.pin_neighbour(*place, bytes(mac), PROTOCOL)
    return orders
