"""The IPv4 network of one interface, from the kernel by ioctl: netdevice(7).

For a program that asks this once and ends: services.neighbours knows more, and takes half a second to import.
"""

import fcntl
import socket
import struct
from ipaddress import IPv4Address, IPv4Interface

_SIOCGIFADDR, _SIOCGIFNETMASK = 0x8915, 0x891B
# struct ifreq: the name, then a struct sockaddr_in (family, port, address).
_IFREQ = struct.Struct("16sHH4s16x")
_LONGEST_NAME = 15


def address_of(name: str) -> IPv4Interface:
    """The first IPv4 address of an interface, with its prefix length; raises LookupError when there is none."""
    octets = name.encode()
    if not 0 < len(octets) <= _LONGEST_NAME:
        raise LookupError(f"{name!r} is not the name of an interface")
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            address, mask = (
                IPv4Address(_IFREQ.unpack(fcntl.ioctl(udp, request, _IFREQ.pack(octets, socket.AF_INET, 0, b"")))[3])
                for request in (_SIOCGIFADDR, _SIOCGIFNETMASK)
            )
    except OSError as error:
        raise LookupError(f"the interface {name} has no IPv4 address: {error.strerror}") from None
    return IPv4Interface(f"{address}/{mask}")
