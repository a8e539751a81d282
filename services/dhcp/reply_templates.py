"""Reuses encoded replies: for another client, only a few bytes of an earlier reply are replaced, instead of calling
scapy again.

The bytes that differ from client to client have a fixed place in all replies of one kind: xid, flags, addresses and
chaddr in the header, the MAC address in the name of the boot file, and the options that echo what a client or its relay
sent. Option 54 is among them: a relay may choose its value.
"""

import struct

from services.dhcp import packet
from services.dhcp.message import Option, Reply

MOST = 256
"""Kinds of replies that are kept, of some 500 bytes each; a site has a dozen."""

_ECHOED = frozenset((Option.SERVER_ID, Option.CLIENT_UUID, Option.CLIENT_ID, Option.RELAY_INFORMATION))
_NAMELESS = b"\0" * 12  # stands for a MAC address in a name; no name contains it
_XID_FLAGS_CIADDR_YIADDR = struct.Struct("!IxxH4s4s")
_FILE = 108
_OPTIONS = 240

Kind = tuple[object, ...]


class ReplyTemplates:
    """The kinds of replies encoded so far. `encode` does what `packet.encode` does."""

    def __init__(self) -> None:
        self._known: dict[Kind, tuple[bytes, tuple[int, ...], tuple[int, ...]]] = {}

    def encode(self, reply: Reply) -> bytes:
        """Return the datagram; raises ValueError when a value is too long for its field."""
        name = reply.mac.bare.encode()
        kind = (
            reply.siaddr,
            reply.sname,
            reply.file.replace(name, _NAMELESS),
            *[
                (code, len(value) if code in _ECHOED else value.replace(name, _NAMELESS))
                for code, value in reply.options
            ],
        )
        known = self._known.get(kind)
        if known is None:
            datagram = packet.encode(reply)
            if len(self._known) >= MOST:
                del self._known[next(iter(self._known))]
            self._known[kind] = (datagram, *_places(reply, name))
            return datagram
        datagram, names, echoes = known
        copy = bytearray(datagram)
        _XID_FLAGS_CIADDR_YIADDR.pack_into(copy, 4, reply.xid, reply.flags, reply.ciaddr.packed, reply.yiaddr.packed)
        copy[24:28] = reply.giaddr.packed
        copy[28:34] = bytes(reply.mac)
        for at in names:
            copy[at : at + 12] = name
        for at, value in zip(echoes, [v for code, v in reply.options if code in _ECHOED], strict=True):
            copy[at : at + len(value)] = value
        return bytes(copy)


def _places(reply: Reply, name: bytes) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Where the MAC address stands in the datagram as text, and where the values of the echoed options begin."""
    names = [_FILE + at for at in _occurrences(reply.file, name)]
    echoes = []
    at = _OPTIONS
    for code, value in reply.options:
        if code in _ECHOED:
            echoes.append(at + 2)
        else:
            names += [at + 2 + found for found in _occurrences(value, name)]
        at += 2 + len(value)
    return tuple(names), tuple(echoes)


def _occurrences(value: bytes, name: bytes) -> list[int]:
    """Where `name` stands in `value`, in the places where bytes.replace finds it."""
    found = []
    at = value.find(name)
    while at >= 0:
        found.append(at)
        at = value.find(name, at + len(name))
    return found
