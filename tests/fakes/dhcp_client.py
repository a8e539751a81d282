"""A DHCP client's bytes, written and read without the code under test: plain struct, RFC 2131 figure 1."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address

DISCOVER, OFFER, REQUEST, ACK, INFORM = 1, 2, 3, 5, 8
UUID = bytes.fromhex("00d0d1d2d3d4d5d6d7d8d9dadbdcdddedf")
NOWHERE = "0.0.0.0"

_HEADER = struct.Struct("!BBBBIHH4s4s4s4s16s64s128s4s")
_COOKIE = b"\x63\x82\x53\x63"

type_names = {DISCOVER: "DISCOVER", OFFER: "OFFER", REQUEST: "REQUEST", ACK: "ACK", INFORM: "INFORM"}


def option(code: int, value: bytes) -> bytes:
    """One option in its wire format."""
    return bytes([code, len(value)]) + value


def message(
    kind: int,
    mac: bytes,
    options: Sequence[tuple[int, bytes]] = (),
    *,
    xid: int = 0x1234,
    secs: int = 0,
    flags: int = 0,
    ciaddr: str = NOWHERE,
    giaddr: str = NOWHERE,
) -> bytes:
    """A client's datagram: the message type first, then `options` in order."""
    addresses = [IPv4Address(text).packed for text in (ciaddr, NOWHERE, NOWHERE, giaddr)]
    header = _HEADER.pack(1, 1, 6, 0, xid, secs, flags, *addresses, mac, b"", b"", _COOKIE)
    return header + option(53, bytes([kind])) + b"".join(option(*each) for each in options) + b"\xff"


def firmware(architecture: int, *more: tuple[int, bytes], undi: str = "002001") -> list[tuple[int, bytes]]:
    """The options of PXE firmware (RFC 4578), in the order of an Intel boot agent."""
    return [
        (55, bytes([1, 2, 3, 43, 54, 60, 66, 67, 97])),
        (57, (1260).to_bytes(2, "big")),
        (97, UUID),
        (93, architecture.to_bytes(2, "big")),
        (94, b"\x01\x02\x01"),
        (60, f"PXEClient:Arch:{architecture:05}:UNDI:{undi}".encode()),
        *more,
    ]


@dataclass
class Answer:
    """The fields of a server's datagram."""

    op: int
    xid: int
    secs: int
    flags: int
    ciaddr: str
    yiaddr: str
    siaddr: str
    giaddr: str
    mac: bytes
    sname: str
    file: str
    size: int
    options: dict[int, bytes] = field(default_factory=dict)
    order: list[int] = field(default_factory=list)

    @classmethod
    def parse(cls, datagram: bytes) -> "Answer":
        """Read a datagram strictly: cookie, whole options, end mark, zeros behind it, no option twice."""
        op, htype, hlen, hops, xid, secs, flags, ci, yi, si, gi, mac, sname, file, cookie = _HEADER.unpack_from(
            datagram
        )
        assert (htype, hlen, cookie, mac[6:]) == (1, 6, _COOKIE, bytes(10))
        # RFC 2131 table 3 has zero; dnsmasq leaves the relay's count.
        assert hops == 0 or any(gi)
        ciaddr, yiaddr, siaddr, giaddr = (str(IPv4Address(each)) for each in (ci, yi, si, gi))
        strings = _text(sname), _text(file)
        answer = cls(op, xid, secs, flags, ciaddr, yiaddr, siaddr, giaddr, mac[:6], *strings, len(datagram))
        at = _HEADER.size
        while datagram[at] != 0xFF:
            code, length = datagram[at], datagram[at + 1]
            assert code not in answer.options, f"option {code} twice"
            answer.order.append(code)
            answer.options[code] = datagram[at + 2 : at + 2 + length]
            assert len(answer.options[code]) == length, f"option {code} is cut short"
            at += 2 + length
        assert not any(datagram[at + 1 :]), "bytes behind the end mark"
        return answer

    @property
    def kind(self) -> str:
        """The message type's name."""
        return type_names[self.options[53][0]]


def _text(data: bytes) -> str:
    text, nul, rest = data.partition(b"\0")
    assert nul, "no NUL at the end of a string field"
    assert not any(rest), "bytes behind the NUL"
    return text.decode()
