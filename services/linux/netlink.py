"""The rtnetlink(7) messages about neighbours, interfaces and routes: questions, changes, answers and notices.

PURE codec of linux/netlink.h, linux/rtnetlink.h, linux/neighbour.h, linux/if_link.h and linux/if_addr.h, in the byte
order of this machine. Covers only what is asked for each request, once a second, or before a program can start:
pyroute2 takes 0.25 ms for a neighbour and 200 ms to load. The kernel's answers are trusted, but never read beyond their
end.
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
NEW_ROUTE, GET_ROUTE = 24, 26
NEW_NEIGHBOUR, DELETE_NEIGHBOUR, GET_NEIGHBOUR = 28, 29, 30
"""Kinds of messages: NLMSG_… and RTM_…"""

NEIGHBOUR_GROUP: Final = 4
"""RTMGRP_NEIGH: the multicast group of changes in the neighbour tables."""

REACHABLE, STALE, DELAY, PROBE, PERMANENT = 0x02, 0x04, 0x08, 0x10, 0x80
"""States of a neighbour (NUD_…) in which the kernel itself would use its MAC address."""

NEIGHBOUR_ADDRESS, NEIGHBOUR_MAC, NEIGHBOUR_TIMES, NEIGHBOUR_PROTOCOL = 1, 2, 3, 12
"""Attributes of a neighbour: NDA_DST, NDA_LLADDR, NDA_CACHEINFO, NDA_PROTOCOL."""

ROUTE_INTERFACE, ROUTE_GATEWAY = 4, 5
"""Attributes of a route: RTA_OIF, RTA_GATEWAY."""

LINK_MAC: Final = 1
"""Attribute of an interface: IFLA_ADDRESS."""

LOCAL_ADDRESS: Final = 2
"""Attribute of an address: IFA_LOCAL."""

LONGEST_NAME: Final = 15
"""Bytes of an interface's name: IFNAMSIZ without the NUL."""

_IPV4 = 2  # AF_INET
_REQUEST, _ACKNOWLEDGE, _DUMP = 0x1, 0x4, 0x300  # NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP
_REPLACE, _CREATE = 0x100, 0x400  # NLM_F_REPLACE, NLM_F_CREATE
_ROUTE_ADDRESS = 1  # RTA_DST
_NAME, _EXTENSIONS = 3, 29  # IFLA_IFNAME, IFLA_EXT_MASK
_NO_STATISTICS = struct.pack("=I", 0x8)  # RTEXT_FILTER_SKIP_STATS: some drivers ask the device for them
_HEADER = struct.Struct("=IHHII")  # length, kind, flags, sequence number, port: struct nlmsghdr
_ATTRIBUTE = struct.Struct("=HH")  # length with this header, kind: struct nlattr
_ERRNO = struct.Struct("=i")
_TICKS = 100  # USER_HZ, in which the kernel tells times
_LINK = struct.Struct("=BxHiII")  # family, type, interface, flags, changed flags: struct ifinfomsg
_ADDRESS = struct.Struct("=BBBBI")  # family, prefix length, flags, scope, interface: struct ifaddrmsg
_NEIGHBOUR = struct.Struct("=BxxxiHBB")  # family, interface, state, flags, type: struct ndmsg
# family, lengths of destination and source, TOS, table, protocol, scope, type (RTN_…), flags: struct rtmsg
_ROUTE = struct.Struct("=BBBBBBBBI")
_TIMES = struct.Struct("=IIII")  # confirmed, used, updated, references: struct nda_cacheinfo
_FIELDS = {NEW_LINK: _LINK, NEW_ADDRESS: _ADDRESS, NEW_NEIGHBOUR: _NEIGHBOUR, NEW_ROUTE: _ROUTE}


class NetlinkMessage(NamedTuple):
    """One message. `fields`: of an interface family, type (ARPHRD_…), index, flags (IFF_…) and changed flags; of an
    address family, prefix length, flags, scope and interface; of a neighbour family, interface, state, flags and type;
    of a route the last but one is its type (RTN_…); of an ERROR the errno, 0 for none. `attributes`: bytes by kind."""

    kind: int
    sequence: int
    fields: tuple[int, ...] = ()
    attributes: Mapping[int, bytes] = MappingProxyType({})


def ask_neighbour(interface: int, address: IPv4Address) -> bytes:
    """The question for one entry of an interface's neighbour table."""
    body = _NEIGHBOUR.pack(_IPV4, interface, 0, 0, 0) + _attribute(NEIGHBOUR_ADDRESS, address.packed)
    return _question(GET_NEIGHBOUR, _REQUEST, body)


def ask_neighbours() -> bytes:
    """The question for the IPv4 neighbours of all interfaces."""
    return _question(GET_NEIGHBOUR, _REQUEST | _DUMP, _NEIGHBOUR.pack(_IPV4, 0, 0, 0, 0))


def pin_neighbour(interface: int, address: IPv4Address, mac: bytes, protocol: int) -> bytes:
    """The order to make an entry permanent, in place of one that is there. `protocol` marks it as its maker's."""
    attributes = (
        _attribute(NEIGHBOUR_ADDRESS, address.packed)
        + _attribute(NEIGHBOUR_MAC, mac)
        + _attribute(NEIGHBOUR_PROTOCOL, bytes([protocol]))
    )
    body = _NEIGHBOUR.pack(_IPV4, interface, PERMANENT, 0, 0) + attributes
    return _question(NEW_NEIGHBOUR, _REQUEST | _ACKNOWLEDGE | _CREATE | _REPLACE, body)


def delete_neighbour(interface: int, address: IPv4Address) -> bytes:
    """The order to remove an entry, permanent or not."""
    body = _NEIGHBOUR.pack(_IPV4, interface, 0, 0, 0) + _attribute(NEIGHBOUR_ADDRESS, address.packed)
    return _question(DELETE_NEIGHBOUR, _REQUEST | _ACKNOWLEDGE, body)


def seconds_since_change(times: bytes) -> float:
    """How long a neighbour has had its present MAC address and state, from its NEIGHBOUR_TIMES; 0 if cut short."""
    if len(times) < _TIMES.size:
        return 0.0
    _, _, updated, _ = _TIMES.unpack_from(times)
    return float(updated) / _TICKS


def ask_route(address: IPv4Address) -> bytes:
    """The question for the route to an address."""
    body = _ROUTE.pack(_IPV4, 32, 0, 0, 0, 0, 0, 0, 0) + _attribute(_ROUTE_ADDRESS, address.packed)
    return _question(GET_ROUTE, _REQUEST, body)


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
