"""Tells a PC's iPXE that there is no IPv6 router here: a router advertisement (RFC 4861) that offers nothing. PURE.

iPXE asks for its boot file only when its IPv6 autoconfiguration has ended too. Without a router that takes 4 or 16
seconds; any router advertisement ends it. This one has a router lifetime of 0, no prefix and neither flag for DHCPv6:
nobody sets up an address, a route or a name server by it. Its sender is an address that nobody has, so that no host can
take it for the word of a router that it uses. It goes to one PC, never to a group.

Beside it, the request by which the server has it sent by the program that may (services/ipv6/sending.py).
"""

import struct

from services.decision import Ignore, Reason
from services.ethernet import MacAddress

SENDER = bytes.fromhex("fe80" + 12 * "00" + "6e72")
"""fe80::6e72. Link-local addresses are made of MAC addresses, of hashes or of random numbers: none looks like this."""

_LINK_LOCAL = bytes.fromhex("fe80" + 6 * "00")
_ICMP, _ADVERTISEMENT = 58, 134
_NEVER_FORWARDED = 255  # RFC 4861 6.1.2: receivers want this hop limit, which no router lets through from elsewhere
_HEADER = struct.Struct("!IHBB16s16s")
_PSEUDO_HEADER = struct.Struct("!16s16sI3xB")
_BODY = struct.Struct("!BBHBBHII")  # RFC 4861 4.2: 0 says "unspecified" for hop limit, reachable time, retransmission
_WORD = struct.Struct("!H")
_LONGEST_NAME = 15  # IFNAMSIZ without the final zero


def link_local(mac: MacAddress) -> bytes:
    """The address that iPXE gives itself: link-local, of the MAC address (RFC 4291, appendix A), in 16 bytes."""
    own = bytes(mac)
    return _LINK_LOCAL + bytes([own[0] ^ 2]) + own[1:3] + b"\xff\xfe" + own[3:]


def advertisement(client: MacAddress) -> bytes:
    """The whole IPv6 packet for this PC."""
    receiver = link_local(client)
    pseudo = _PSEUDO_HEADER.pack(SENDER, receiver, _BODY.size, _ICMP)
    checksum = _checksum(pseudo + _BODY.pack(_ADVERTISEMENT, 0, 0, 0, 0, 0, 0, 0))
    header = _HEADER.pack(6 << 28, _BODY.size, _ICMP, _NEVER_FORWARDED, SENDER, receiver)
    return header + _BODY.pack(_ADVERTISEMENT, 0, checksum, 0, 0, 0, 0, 0)


def request(interface: str, client: MacAddress) -> bytes:
    """What asks the program to tell this PC, by this interface."""
    return bytes(client) + interface.encode()


def read_request(data: bytes) -> tuple[str, MacAddress] | Ignore:
    """The interface and the PC of a request. Ignore(MALFORMED): another length, or an address that is not one PC's."""
    client, name = data[:6], data[6:]
    if not 1 <= len(name) <= _LONGEST_NAME or not name.isascii() or b"\0" in name:
        return Ignore(Reason.MALFORMED)
    mac = MacAddress.from_bytes(client)
    return Ignore(Reason.MALFORMED) if mac.is_group else (name.decode(), mac)


def _checksum(data: bytes) -> int:
    """RFC 1071."""
    total: int = sum(word for (word,) in _WORD.iter_unpack(data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~((total >> 16) + total) & 0xFFFF
