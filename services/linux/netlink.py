"""The rtnetlink(7) messages about one neighbour and one interface: questions, answers, and notices of changes.

PURE codec of linux/netlink.h, linux/rtnetlink.h, linux/neighbour.h, linux/if_link.h and linux/if_addr.h, in the byte
order of this machine. Covers only the questions that are asked for each request, once a second, or before a program
can start: pyroute2 takes 0.25 ms for a neighbour and 200 ms to load. The kernel's answers are trusted, but never read
beyond their end.
"""

import struct
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address
from types import MappingProxyType
from typing import Final, NamedTuple

ERROR: Final = 2
DONE: Final = 3
NEW_LINK, GET_LINK = 16, 18
NEW_ADDRESS, GET_ADDRESS = 20, 22
NEW_NEIGHBOUR, GET_NEIGHBOUR = 28, 30
"""Kinds of messages: NLMSG_… and RTM_…"""

NEIGHBOUR_GROUP: Final = 4
"""RTMGRP_NEIGH: the multicast group of changes in the neighbour tables."""

REACHABLE, STALE, DELAY, PROBE, PERMANENT = 0x02, 0x04, 0x08, 0x10, 0x80
"""States of a neighbour (NUD_…) in which the kernel itself would use its MAC address."""

NEIGHBOUR_ADDRESS, NEIGHBOUR_MAC = 1, 2
"""Attributes of a neighbour: NDA_DST, NDA_LLADDR."""

LINK_MAC: Final = 1
"""Attribute of an interface: IFLA_ADDRESS."""

LOCAL_ADDRESS: Final = 2
"""Attribute of an address: IFA_LOCAL."""

LONGEST_NAME: Final = 15
"""Bytes of an interface's name: IFNAMSIZ without the NUL."""

_IPV4 = 2  # AF_INET
_REQUEST, _DUMP = 0x1, 0x300  # NLM_F_REQUEST, NLM_F_DUMP
_NAME, _EXTENSIONS = 3, 29  # IFLA_IFNAME, IFLA_EXT_MASK
_NO_STATISTICS = struct.pack("=I", 0x8)  # RTEXT_FILTER_SKIP_STATS: some drivers ask the device for them
_HEADER = struct.Struct("=IHHII")  # length, kind, flags, sequence number, port: struct nlmsghdr
_ATTRIBUTE = struct.Struct("=HH")  # length with this header, kind: struct nlattr
_ERRNO = struct.Struct("=i")
_LINK = struct.Struct("=BxHiII")  # family, type, interface, flags, changed flags: struct ifinfomsg
_ADDRESS = struct.Struct("=BBBBI")  # family, prefix length, flags, scope, interface: struct ifaddrmsg
_NEIGHBOUR = struct.Struct("=BxxxiHBB")  # family, interface, state, flags, type: struct ndmsg
_FIELDS = {NEW_LINK: _LINK, NEW_ADDRESS: _ADDRESS, NEW_NEIGHBOUR: _NEIGHBOUR}


class NetlinkMessage(NamedTuple):
    """One message. `fields`: of an interface family, type (ARPHRD_…), index, flags (IFF_…) and changed flags; of an
    address family, prefix length, flags, scope and interface; of a neighbour family, interface, state, flags and type;
    of an ERROR the errno, 0 for none. `attributes` are bytes by kind."""

    kind: int
    sequence: int
    fields: tuple[int, ...] = ()
    attributes: Mapping[int, bytes] = MappingProxyType({})


def ask_neighbour(interface: int, address: IPv4Address) -> bytes:
    """The question for one entry of an interface's neighbour table."""
    body = _NEIGHBOUR.pack(_IPV4, interface, 0, 0, 0) + _attribute(NEIGHBOUR_ADDRESS, address.packed)
    return _question(GET_NEIGHBOUR, _REQUEST, body)


def ask_link(name: bytes) -> bytes:
    """The question for one interface by its name, of 1 to LONGEST_NAME bytes without NUL."""
    body = _LINK.pack(0, 0, 0, 0, 0) + _attribute(_NAME, name + b"\0") + _attribute(_EXTENSIONS, _NO_STATISTICS)
    return _question(GET_LINK, _REQUEST, body)


def ask_addresses(interface: int) -> bytes:
    """The question for the IPv4 addresses of one interface. A kernel without strict checking (before Linux 4.20)
    returns those of all interfaces."""
    return _question(GET_ADDRESS, _REQUEST | _DUMP, _ADDRESS.pack(_IPV4, 0, 0, 0, interface))


def decode(data: bytes) -> Iterator[NetlinkMessage]:
    """The messages of one datagram; of other kinds than ours only the kind. Ends at the first that is cut short."""
    at = 0
    while at + _HEADER.size <= len(data):
        length, kind, _, sequence, _ = _HEADER.unpack_from(data, at)
        if length < _HEADER.size or at + length > len(data):
            return
        yield _message(kind, sequence, data[at + _HEADER.size : at + length])
        at += _aligned(length)


def _question(kind: int, flags: int, body: bytes) -> bytes:
    return _HEADER.pack(_HEADER.size + len(body), kind, flags, 1, 0) + body


def _attribute(kind: int, value: bytes) -> bytes:
    length = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(length, kind) + value.ljust(_aligned(length) - _ATTRIBUTE.size, b"\0")


def _message(kind: int, sequence: int, body: bytes) -> NetlinkMessage:
    if kind == ERROR and len(body) >= _ERRNO.size:
        return NetlinkMessage(kind, sequence, (-_ERRNO.unpack_from(body)[0],))
    fields = _FIELDS.get(kind)
    if fields is None or len(body) < fields.size:
        return NetlinkMessage(kind, sequence)
    attributes: dict[int, bytes] = {}
    at = fields.size
    while at + _ATTRIBUTE.size <= len(body):
        length, attribute = _ATTRIBUTE.unpack_from(body, at)
        if length < _ATTRIBUTE.size or at + length > len(body):
            break
        attributes[attribute] = body[at + _ATTRIBUTE.size : at + length]
        at += _aligned(length)
    return NetlinkMessage(kind, sequence, fields.unpack_from(body), attributes)


def _aligned(length: int) -> int:
    return (length + 3) & ~3  # NLMSG_ALIGNTO and NLA_ALIGNTO
