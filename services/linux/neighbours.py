"""Which MAC address is at which IP address on our links: the kernel's neighbour tables, read by netlink.

A neighbour is looked up for each request of each PC: services/linux/netlink_socket.py does that in a tenth of the time
that pyroute2 takes. IPv4 only.
"""

import asyncio
import errno
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

from services.ethernet import MacAddress
from services.linux import netlink
from services.linux.interfaces import Interface
from services.linux.netlink import NetlinkMessage
from services.linux.netlink_socket import LARGEST_ANSWER, ask_neighbour

KNOWN = netlink.REACHABLE | netlink.STALE | netlink.DELAY | netlink.PROBE | netlink.PERMANENT
"""States of a neighbour entry whose MAC address the kernel itself would use."""

DISCARD_PORT = 9
_CHANGES_BUFFER = 1 << 20  # bytes: a room of a thousand PCs, switched on together


@dataclass(frozen=True, slots=True)
class Sighting:
    """A neighbour as the kernel knows it. `fresh`: it answered just now; otherwise it did once, and may be gone."""

    mac: MacAddress
    fresh: bool


class Neighbours:
    """The neighbour tables of the interfaces we serve."""

    def __init__(self, interfaces: Sequence[Interface]) -> None:
        self._interfaces = tuple(interfaces)

    def on_link(self, address: IPv4Address) -> bool:
        """Whether the address is in the network of one of the interfaces, so that ARP can reach it."""
        return self._interface_to(address) is not None

    def mac_of(self, address: IPv4Address) -> MacAddress | None:
        """The MAC address that the kernel knows for a neighbour; None when it is off-link or not resolved (yet).

        Raises OSError when the kernel does not answer.
        """
        sighting = self.sighting(address)
        return sighting.mac if sighting else None

    def sighting(self, address: IPv4Address) -> Sighting | None:
        """Like `mac_of`, and how sure the kernel is."""
        interface = self._interface_to(address)
        if interface is None:
            return None
        try:
            entry = ask_neighbour(interface.index, address)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENODEV):
                return None
            raise
        found = _neighbour(entry)
        if found is None:
            return None
        return Sighting(found[2], fresh=bool(found[3] & (netlink.REACHABLE | netlink.PERMANENT)))

    def mac_in_words(self, address: str) -> str:
        """The MAC address that the kernel knows for a neighbour, as text; "" where it knows none."""
        try:
            return str(self.mac_of(IPv4Address(address)) or "")
        except (OSError, ValueError):
            return ""

    def nudge(self, address: IPv4Address) -> None:
        """Make the kernel resolve a neighbour, by an empty datagram to its discard port; look again a moment later.

        For a client that learned our MAC address from one of our frames and so never sent ARP. Does nothing off-link.
        """
        interface = self._interface_to(address)
        if interface is None:
            return
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as udp:
            try:
                udp.bind((str(interface.address.ip), 0))
                udp.sendto(b"", (str(address), DISCARD_PORT))
            except OSError:
                return  # an interface without carrier: the caller's next look rightly finds nothing

    def watch(self, changed: Callable[[IPv4Address, MacAddress], None]) -> Callable[[], None]:
        """Call `changed(address, mac)` in the running event loop when the kernel learns or changes a neighbour's MAC.

        Returns the function that stops it. When the kernel's buffer is full, changes are lost, so treat this only as
        a hint to ask `mac_of`.
        """
        kernel = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
        )
        kernel.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _CHANGES_BUFFER)
        kernel.bind((0, netlink.NEIGHBOUR_GROUP))
        loop = asyncio.get_running_loop()
        loop.add_reader(kernel, self._read_changes, kernel, changed)

        def stop() -> None:
            loop.remove_reader(kernel)
            kernel.close()

        return stop

    def _read_changes(self, kernel: socket.socket, changed: Callable[[IPv4Address, MacAddress], None]) -> None:
        indices = {interface.index for interface in self._interfaces}
        try:
            changes = kernel.recv(LARGEST_ANSWER)
        except OSError:  # ENOBUFS: the buffer was full
            return
        for message in netlink.decode(changes):
            found = _neighbour(message)
            if found is not None and found[0] in indices:
                changed(found[1], found[2])

    def _interface_to(self, address: IPv4Address) -> Interface | None:
        for interface in self._interfaces:
            if address in interface.address.network:
                return interface
        return None


def _neighbour(message: NetlinkMessage) -> tuple[int, IPv4Address, MacAddress, int] | None:
    """Interface, addresses and state of a neighbour, if the kernel itself would use its MAC address."""
    if message.kind != netlink.NEW_NEIGHBOUR or not message.fields:
        return None
    family, interface, state, *_ = message.fields
    mac = message.attributes.get(netlink.NEIGHBOUR_MAC, b"")
    address = message.attributes.get(netlink.NEIGHBOUR_ADDRESS, b"")
    if family != socket.AF_INET or not state & KNOWN or len(mac) != 6 or len(address) != 4:
        return None
    return interface, IPv4Address(address), MacAddress.from_bytes(mac), state
