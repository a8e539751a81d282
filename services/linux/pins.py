"""Asks the kernel for next hops and neighbours, and pins neighbours. Every function blocks.

services/linux/next_hops.py says what is a pin, and which of them are ours. Needs CAP_NET_ADMIN for changes. IPv4 only.
"""

import contextlib
import errno
import socket
import time
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address

from services.linux import netlink_socket
from services.linux.next_hops import Neighbour, NextHop, Place, read_neighbours, read_route

_DISCARD_PORT = 9
_LOOK_SECONDS = 0.01


def neighbours() -> dict[Place, Neighbour]:
    """All IPv4 neighbours. Raises OSError."""
    return read_neighbours(netlink_socket.all_neighbours())


def next_hops(addresses: Iterable[IPv4Address]) -> dict[IPv4Address, NextHop]:
    """The next hops to these addresses, as far as there is a route. Raises OSError when the kernel does not answer."""
    routes = netlink_socket.ask_routes(addresses)
    found = {address: read_route(route) for address, route in routes.items()}
    return {address: hop for address, hop in found.items() if hop is not None}


def change(orders: Mapping[Place, bytes]) -> dict[Place, OSError]:
    """Carry these orders out (services.linux.next_hops.reconcile); returns those that failed. Raises OSError without
    the privilege."""
    failed: dict[Place, OSError] = {}
    for place, problem in zip(orders, netlink_socket.order(orders.values()), strict=True):
        if problem is not None and problem.errno == errno.EPERM:
            raise problem
        if problem is not None and problem.errno != errno.ENOENT:  # what is to go is gone
            failed[place] = problem
    return failed


def resolve(places: Iterable[Place], seconds: float) -> dict[Place, Neighbour]:
    """Make the kernel ask for these neighbours, and wait until all have answered, this long at most."""
    waiting, found = set(places), dict[Place, Neighbour]()
    deadline = time.monotonic() + seconds
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as udp:
        for _, address in waiting:
            with contextlib.suppress(OSError):
                udp.sendto(b"", (str(address), _DISCARD_PORT))
    while waiting:
        known = neighbours()
        found |= {place: known[place] for place in waiting & known.keys()}
        waiting -= found.keys()
        if time.monotonic() > deadline:
            break
        time.sleep(_LOOK_SECONDS)
    return found
