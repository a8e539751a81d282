"""A datagram of the kernel's about neighbours, whose MAC addresses and IP addresses strangers choose.

Must hold: no exception; it comes to an end; nothing is read beyond a message's own, and nothing twice.
"""

import struct
from ipaddress import IPv4Address
from types import TracebackType
from typing import Self

from services.linux import netlink

_HEADER = 16  # struct nlmsghdr
_KINDS = (netlink.NEW_NEIGHBOUR, netlink.NEW_LINK, netlink.NEW_ADDRESS, netlink.ERROR)


def seeds() -> list[bytes]:
    """A question, and bodies of both kinds with an attribute, alone and all in one datagram."""
    asked = netlink.ask_neighbour(7, IPv4Address("10.77.0.100"))
    attribute = struct.pack("=HH6s2x", 10, netlink.NEIGHBOUR_MAC, bytes.fromhex("525400aabb01"))
    bodies = [bytes([2]) + bytes(size - 1) + attribute for size in (8, 12, 16)]
    told = [
        struct.pack("=IHHII", _HEADER + len(body), kind, 0, 1, 0) + body
        for kind in _KINDS
        for body in (*bodies, struct.pack("=i", -2))
    ]
    return [asked, *told, b"".join(told)]


class Target:
    """Has no state."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        pass

    def __call__(self, data: bytes) -> None:
        """Play one input."""
        messages = list(netlink.decode(data))
        read = sum(len(value) for message in messages for value in message.attributes.values())
        assert len(messages) * _HEADER + read <= len(data)
