"""Wake-on-LAN: the magic packet that a sleeping network card looks for. PURE.

Source: AMD, "Magic Packet Technology" (white paper 20213, 1995): six bytes FF and the card's MAC address sixteen times,
anywhere in a frame. SecureOn adds a password of six bytes; of four, the kernel's and Wireshark's readers know as well.
The packet goes as UDP to port 9 (discard), as most senders do. Cards look at the bytes, so neither port nor address
matters to them.
"""

import re
from ipaddress import AddressValueError, IPv4Address

from services.ethernet import MacAddress

PORT = 9
_TIMES = 16


def magic_packet(mac: MacAddress, password: bytes = b"") -> bytes:
    """The packet for this card: 102 bytes, and those of its SecureOn password (none, 4 or 6)."""
    if len(password) not in (0, 4, 6):
        raise ValueError(f"a SecureOn password has 4 or 6 bytes, not {len(password)}")
    return b"\xff" * 6 + bytes(mac) * _TIMES + password


def read_password(text: str) -> bytes:
    """A SecureOn password as it is written: six bytes like a MAC address (00:11:22:33:44:55), or four like an IPv4
    address (192.168.1.1). Raises ValueError, which does not repeat it."""
    if re.fullmatch(r"[0-9A-Fa-f]{2}([:-]?[0-9A-Fa-f]{2}){5}", text):
        return bytes.fromhex(re.sub("[:-]", "", text))
    try:
        return IPv4Address(text).packed
    except AddressValueError:
        raise ValueError("write six bytes like a MAC address, or four like an IPv4 address") from None
