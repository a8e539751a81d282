"""Who is on the link: IP and MAC addresses of neighbours, and our own interfaces, from the kernel by netlink.

pyroute2 stops here, as the codec of rtnetlink(7) messages: its blocking API starts an event loop of its own and fails
where one runs already. It is loaded when it is needed first (see `load`). Two look-ups go without it. Neighbours are
looked up for each request of each PC: services/linux/netlink.py does that in a tenth of the time. The start waits for
one interface by its name: services/linux/ioctl_interface.py. Each question takes a socket and one round trip inside the
kernel. IPv4 only.
"""

import asyncio
import contextlib
import errno
import importlib
import os
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface
from typing import Any

from services.ethernet import MacAddress
from services.linux import netlink
from services.linux.ioctl_interface import address_of, hardware_of
from services.linux.netlink import NetlinkMessage

KNOWN = netlink.REACHABLE | netlink.STALE | netlink.DELAY | netlink.PROBE | netlink.PERMANENT
"""States of a neighbour entry whose MAC address the kernel itself would use."""

DISCARD_PORT = 9
_REPLY_ROOM = 65536
_NEWS_ROOM = 1 << 20  # a thousand PCs of a room, switched on together
_ANSWER_SECONDS = 1.0
_ETHERNET = 1  # ARPHRD_ETHER, linux/if_arp.h
_UP, _LOWER_UP = 0x1, 0x10000  # IFF_UP and IFF_LOWER_UP, linux/if.h
_PERMANENT = 0x80  # IFA_F_PERMANENT, linux/if_addr.h
_loading = threading.Lock()


@dataclass(frozen=True, slots=True)
class Interface:
    """An Ethernet interface and its first IPv4 address with the prefix length."""

    name: str
    index: int
    address: IPv4Interface
    mac: MacAddress


@dataclass(frozen=True, slots=True)
class Sighting:
    """A neighbour as the kernel knows it. `fresh`: it has answered just now; else it did once, and may be gone."""

    mac: MacAddress
    fresh: bool


@dataclass(frozen=True, slots=True)
class Address:
    """An IPv4 address of an interface. `seconds` is how long it still holds; None for one that nobody has to renew."""

    address: IPv4Interface
    seconds: int | None


@dataclass(frozen=True, slots=True)
class Link:
    """The state of an interface of any kind. `mac` is None of one that is no Ethernet. `carrier`: the cable works;
    False while the interface is down."""

    name: str
    index: int
    mac: MacAddress | None
    up: bool
    carrier: bool
    mtu: int
    addresses: tuple[Address, ...]

    @property
    def ethernet(self) -> bool:
        """Whether it is one, bridges and VLANs included."""
        return self.mac is not None


class Neighbours:
    """The neighbour tables of the interfaces we serve."""

    def __init__(self, interfaces: Sequence[Interface]) -> None:
        self._interfaces = tuple(interfaces)

    def on_link(self, address: IPv4Address) -> bool:
        """Whether the address lies in the network of one of the interfaces, so that ARP can reach it."""
        return self._interface_to(address) is not None

    def mac_of(self, address: IPv4Address) -> MacAddress | None:
        """The MAC address the kernel knows for a neighbour; None when it is off-link or not (yet) resolved.

        Raises OSError when the kernel does not answer.
        """
        sighting = self.sighting(address)
        return sighting.mac if sighting else None

    def sighting(self, address: IPv4Address) -> Sighting | None:
        """Like `mac_of`, with how sure the kernel is."""
        interface = self._interface_to(address)
        if interface is None:
            return None
        try:
            entry = _ask(netlink.ask_neighbour(interface.index, address))
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENODEV):
                return None
            raise
        found = _neighbour(entry)
        if found is None:
            return None
        return Sighting(found[2], fresh=bool(found[3] & (netlink.REACHABLE | netlink.PERMANENT)))

    def nudge(self, address: IPv4Address) -> None:
        """Make the kernel resolve a neighbour, by an empty datagram to its discard port; look again a moment later.

        For a client that learned our MAC address from a frame of ours and so never asked by ARP. Does nothing off-link.
        """
        interface = self._interface_to(address)
        if interface is None:
            return
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as udp:
            try:
                udp.bind((str(interface.address.ip), 0))
                udp.sendto(b"", (str(address), DISCARD_PORT))
            except OSError:
                return  # an interface without carrier: the caller's next look finds nothing, which is the truth

    def watch(self, changed: Callable[[IPv4Address, MacAddress], None]) -> Callable[[], None]:
        """Call `changed(address, mac)` in the running event loop when the kernel learns or changes a neighbour's MAC.

        Returns the function that ends it. When the kernel has more news than room, some are lost: `mac_of` is the
        truth, this is the bell.
        """
        kernel = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
        )
        kernel.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _NEWS_ROOM)
        kernel.bind((0, netlink.NEIGHBOUR_GROUP))
        loop = asyncio.get_running_loop()
        loop.add_reader(kernel, self._read_news, kernel, changed)

        def end() -> None:
            loop.remove_reader(kernel)
            kernel.close()

        return end

    def _read_news(self, kernel: socket.socket, changed: Callable[[IPv4Address, MacAddress], None]) -> None:
        indices = {interface.index for interface in self._interfaces}
        try:
            news = kernel.recv(_REPLY_ROOM)
        except OSError:  # ENOBUFS: more news than room
            return
        for message in netlink.decode(news):
            found = _neighbour(message)
            if found is not None and found[0] in indices:
                changed(found[1], found[2])

    def _interface_to(self, address: IPv4Address) -> Interface | None:
        for interface in self._interfaces:
            if address in interface.address.network:
                return interface
        return None


def load() -> None:
    """Load pyroute2, which takes a fifth of a start, so that the first `links` need not; in any thread."""
    # Its modules import each other in circles: of two threads that begin at once, one would see half of a module.
    with _loading:
        importlib.import_module("pyroute2.netlink.rtnl.marshal")


def interface_address(name: str) -> Interface:
    """Look up one interface; raises LookupError, saying what is missing and what there is."""
    with contextlib.suppress(LookupError, OSError):
        kind, mac = hardware_of(name)
        if kind == _ETHERNET:
            return Interface(name, socket.if_nametoindex(name), address_of(name), MacAddress.from_bytes(mac))
    usable = ", ".join(f"{each.name} ({each.address})" for each in interfaces()) or "none"
    if name in (link.name for link in links()):
        raise LookupError(f"the interface {name} is no Ethernet interface with an IPv4 address; usable: {usable}")
    raise LookupError(f"there is no interface {name}; usable: {usable}")


def interfaces() -> list[Interface]:
    """All Ethernet interfaces (bridges and VLANs too) that have an IPv4 address, in the kernel's order."""
    return [
        Interface(link.name, link.index, link.addresses[0].address, link.mac)
        for link in links()
        if link.mac is not None and link.addresses
    ]


def links() -> list[Link]:
    """All interfaces with their IPv4 addresses, in the kernel's order."""
    load()
    from pyroute2.netlink.rtnl import RTM_GETADDR, RTM_GETLINK  # noqa: PLC0415 - see load()
    from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg  # noqa: PLC0415
    from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg  # noqa: PLC0415

    question = ifaddrmsg()
    question["family"] = socket.AF_INET
    addresses: dict[int, list[Address]] = {}
    for entry in _dump(question, RTM_GETADDR):
        local = IPv4Interface(f"{entry.get_attr('IFA_LOCAL')}/{entry['prefixlen']}")
        # A permanent address has no end, whatever stands in its lifetime.
        leased = not (entry.get_attr("IFA_FLAGS") or entry["flags"]) & _PERMANENT
        seconds = int(entry.get_attr("IFA_CACHEINFO")["ifa_valid"]) if leased else None
        addresses.setdefault(int(entry["index"]), []).append(Address(local, seconds))
    return [
        Link(
            name=str(link.get_attr("IFLA_IFNAME")),
            index=int(link["index"]),
            mac=MacAddress.parse(str(link.get_attr("IFLA_ADDRESS"))) if link["ifi_type"] == _ETHERNET else None,
            up=bool(link["flags"] & _UP),
            carrier=bool(link["flags"] & _LOWER_UP),
            mtu=int(link.get_attr("IFLA_MTU")),
            addresses=tuple(addresses.get(int(link["index"]), ())),
        )
        for link in _dump(ifinfmsg(), RTM_GETLINK)
    ]


def _dump(question: Any, kind: int) -> list[Any]:
    """Ask for all there is of a kind. Raises OSError with the kernel's errno."""
    from pyroute2.netlink import NLM_F_DUMP, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR  # noqa: PLC0415
    from pyroute2.netlink.rtnl.marshal import MarshalRtnl  # noqa: PLC0415

    question["header"]["type"] = kind
    question["header"]["flags"] = NLM_F_REQUEST | NLM_F_DUMP
    question["header"]["sequence_number"] = 1
    question.encode()
    answers: list[Any] = []
    with _kernel() as kernel:
        kernel.send(question.data)
        while True:
            for answer in MarshalRtnl().parse(kernel.recv(_REPLY_ROOM)):
                if answer["header"]["type"] == NLMSG_DONE:
                    return answers
                if answer["header"]["type"] == NLMSG_ERROR:
                    code = int(answer["header"]["error"].code)
                    raise OSError(code, os.strerror(code))
                answers.append(answer)


def _neighbour(message: NetlinkMessage) -> tuple[int, IPv4Address, MacAddress, int] | None:
    """Interface, addresses and state of a neighbour whose MAC address the kernel itself would use; else None."""
    if message.kind != netlink.NEW_NEIGHBOUR or not message.fields:
        return None
    family, interface, state, *_ = message.fields
    mac = message.attributes.get(netlink.NEIGHBOUR_MAC, b"")
    address = message.attributes.get(netlink.NEIGHBOUR_ADDRESS, b"")
    if family != socket.AF_INET or not state & KNOWN or len(mac) != 6 or len(address) != 4:
        return None
    return interface, IPv4Address(address), MacAddress.from_bytes(mac), state


def _ask(question: bytes) -> NetlinkMessage:
    """Send a question that has one answer; raises OSError with the kernel's errno."""
    with _kernel() as kernel:
        kernel.send(question)
        while True:
            for answer in netlink.decode(kernel.recv(_REPLY_ROOM)):
                if answer.kind == netlink.ERROR:
                    (code,) = answer.fields
                    raise OSError(code, os.strerror(code))
                return answer


def _kernel() -> socket.socket:
    kernel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
    kernel.settimeout(_ANSWER_SECONDS)
    return kernel
