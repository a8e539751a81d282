"""Datagrams to everybody on a network. Needs no privilege, and receives nothing."""

import socket
import struct
from contextlib import closing
from ipaddress import IPv4Address

from services.linux.interfaces import Interface

EVERYBODY = IPv4Address("255.255.255.255")
"""All who are on the network of one interface."""

_IP_PKTINFO = 8  # linux/in.h
_PKTINFO = struct.Struct("@I4s4s")  # struct in_pktinfo, ip(7)


def send_on(interface: Interface, payload: bytes, port: int) -> None:
    """Send a datagram to all who are on the network of this interface, whatever the routes say. Raises OSError."""
    with closing(_udp()) as udp:
        # Unlike SO_BINDTODEVICE, this is free to everybody on every kernel.
        place = _PKTINFO.pack(interface.index, interface.address.ip.packed, bytes(4))
        udp.sendmsg([payload], [(socket.IPPROTO_IP, _IP_PKTINFO, place)], 0, (str(EVERYBODY), port))


def send_to(network: IPv4Address, payload: bytes, port: int) -> None:
    """Send a datagram to the broadcast address of a network elsewhere: its router has to pass it on. Raises OSError."""
    with closing(_udp()) as udp:
        udp.sendto(payload, (str(network), port))


def _udp() -> socket.socket:
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    except OSError:
        udp.close()
        raise
    return udp
