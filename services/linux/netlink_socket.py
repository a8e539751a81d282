"""Questions and orders to the kernel over netlink(7), answered in microseconds: neighbours, routes, an interface.

A question takes a socket and one round trip inside the kernel. Nothing here loads pyroute2 or asyncio, for programs
that must start at once: all interfaces are in services/linux/interfaces.py. IPv4 only.
"""

import contextlib
import errno
import os
import socket
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Interface
from typing import NamedTuple

from services.linux import netlink
from services.linux.netlink import NetlinkMessage

LARGEST_ANSWER = 65536
"""Bytes to receive at once; the kernel sends no larger datagram."""

ETHERNET = 1
"""ARPHRD_ETHER, linux/if_arp.h: the type of Ethernet interfaces, bridges and VLANs too."""

_ANSWER_SECONDS = 1.0
_SOL_NETLINK, _STRICT_CHECK = 270, 12  # NETLINK_GET_STRICT_CHK, linux/netlink.h


class KernelInterface(NamedTuple):
    """An interface as the kernel describes it: `number` is its index, `address` the first IPv4 address. `mac` is None
    unless it is Ethernet."""

    number: int
    mac: bytes | None
    address: IPv4Interface | None


def open_netlink() -> socket.socket:
    """Open a socket on which the kernel answers within a second, or raises TimeoutError."""
    kernel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
    kernel.settimeout(_ANSWER_SECONDS)
    return kernel


def ask_neighbour(interface: int, address: IPv4Address) -> NetlinkMessage:
    """Ask for one entry of an interface's neighbour table. Raises OSError with the kernel's errno."""
    with open_netlink() as kernel:
        return _ask(kernel, netlink.ask_neighbour(interface, address))[0]


def all_neighbours() -> list[NetlinkMessage]:
    """The IPv4 neighbours of all interfaces. Raises OSError with the kernel's errno."""
    with open_netlink() as kernel:
        return _ask(kernel, netlink.ask_neighbours(), several=True)


def ask_routes(addresses: Iterable[IPv4Address]) -> dict[IPv4Address, NetlinkMessage]:
    """The routes to these addresses, as far as there are any. Raises OSError when the kernel does not answer."""
    found: dict[IPv4Address, NetlinkMessage] = {}
    with open_netlink() as kernel:
        for address in addresses:
            with contextlib.suppress(OSError):  # ENETUNREACH and the like: there is no route
                found[address] = _ask(kernel, netlink.ask_route(address))[0]
    return found


def order(changes: Iterable[bytes]) -> list[OSError | None]:
    """Have the kernel carry out changes, each of which asks for an acknowledgement; how each of them failed."""
    outcomes: list[OSError | None] = []
    with open_netlink() as kernel:
        for change in changes:
            kernel.send(change)
            (answer,) = netlink.decode(kernel.recv(LARGEST_ANSWER))
            (code,) = answer.fields
            outcomes.append(OSError(code, os.strerror(code)) if code else None)
    return outcomes


def ask_interface(name: str) -> KernelInterface:
    """Ask for one interface. Raises LookupError when there is none, and OSError with the kernel's errno."""
    encoded = os.fsencode(name)
    if not 0 < len(encoded) <= netlink.LONGEST_NAME or b"\0" in encoded:
        raise LookupError(f"{name!r} is not the name of an interface")
    with open_netlink() as kernel:
        try:
            link = _ask(kernel, netlink.ask_link(encoded))[0]
            _, kind, number, *_ = link.fields
            with contextlib.suppress(OSError):  # it only keeps the answer short
                kernel.setsockopt(_SOL_NETLINK, _STRICT_CHECK, 1)
            addresses = _ask(kernel, netlink.ask_addresses(number), several=True)
        except OSError as error:
            if error.errno == errno.ENODEV:
                raise LookupError(f"there is no interface {name}") from None
            raise
    mac = link.attributes.get(netlink.LINK_MAC, b"")
    own = (each for each in addresses if each.fields[4] == number and netlink.LOCAL_ADDRESS in each.attributes)
    first = next(own, None)
    address = IPv4Interface((first.attributes[netlink.LOCAL_ADDRESS], first.fields[1])) if first else None
    return KernelInterface(number, mac if kind == ETHERNET and len(mac) == 6 else None, address)


def address_of(name: str) -> IPv4Interface:
    """The first IPv4 address of an interface of any kind, with its prefix length; raises LookupError without one."""
    try:
        address = ask_interface(name).address
    except OSError as error:
        raise LookupError(f"cannot ask the kernel about the interface {name}: {error}") from None
    if address is None:
        raise LookupError(f"the interface {name} has no IPv4 address")
    return address


def _ask(kernel: socket.socket, question: bytes, *, several: bool = False) -> list[NetlinkMessage]:
    """Send a question, and return its answer, or with `several` all until the kernel says that it is done."""
    kernel.send(question)
    answers: list[NetlinkMessage] = []
    while True:
        for answer in netlink.decode(kernel.recv(LARGEST_ANSWER)):
            if answer.kind == netlink.ERROR:
                (code,) = answer.fields
                raise OSError(code, os.strerror(code))
            if answer.kind == netlink.DONE:
                return answers
            answers.append(answer)
        if answers and not several:
            return answers
