"""One interface, from the kernel by ioctl: netdevice(7).

For programs that ask once and end, or must start at once. services.linux.neighbours knows more, but needs pyroute2.
"""

import fcntl
import socket
import struct
from ipaddress import IPv4Address, IPv4Interface

_SIOCGIFADDR, _SIOCGIFNETMASK, _SIOCGIFHWADDR = 0x8915, 0x891B, 0x8927
# struct ifreq: the name, then a struct sockaddr; of IPv4 (sockaddr_in) that is family, port, address.
_IFREQ = struct.Struct("16sH2s20s")
_LONGEST_NAME = 15


def address_of(name: str) -> IPv4Interface:
    """The first IPv4 address of an interface, with its prefix length; raises LookupError when there is none."""
    try:
        _, _, address = _ask(name, _SIOCGIFADDR)
        _, _, mask = _ask(name, _SIOCGIFNETMASK)
    except OSError as error:
        raise LookupError(f"the interface {name} has no IPv4 address: {error.strerror}") from None
    return IPv4Interface(f"{IPv4Address(address[:4])}/{IPv4Address(mask[:4])}")


def hardware_of(name: str) -> tuple[int, bytes]:
    """The ARPHRD_ type of an interface and, of an Ethernet one, the six bytes of its MAC address; raises
    LookupError when there is no such interface."""
    try:
        kind, port, address = _ask(name, _SIOCGIFHWADDR)
    except OSError as error:
        raise LookupError(f"there is no interface {name}: {error.strerror}") from None
    return kind, port + address[:4]


def _ask(name: str, request: int) -> tuple[int, bytes, bytes]:
    """The struct sockaddr that the kernel answers: family, and of an IPv4 address port and address."""
    data = name.encode()
    if not 0 < len(data) <= _LONGEST_NAME:
        raise LookupError(f"{name!r} is not the name of an interface")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        answer = fcntl.ioctl(udp, request, _IFREQ.pack(data, socket.AF_INET, b"", b""))
    _, family, port, address = _IFREQ.unpack(answer)
    return family, port, address
