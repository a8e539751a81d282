"""Bytes to values and back, to watch or play a booting PC: DHCP of both sides, TFTP, HTTP's first lines.

scapy writes the DHCP messages. Reading never raises: anything else is Ignore(MALFORMED).
"""

import re
import struct
from collections.abc import Sequence
from ipaddress import IPv4Address

from scapy.layers.dhcp import BOOTP, DHCP, dhcpmagic
from scapy.layers.inet import IP, UDP

from services.decision import Ignore, Reason
from services.dhcp.message import BROADCAST_FLAG, CLIENT_PORT, SERVER_PORT, MessageType
from services.dhcp.options import read_options
from services.ethernet import MacAddress
from services.probe.message import (
    NOWHERE,
    DhcpPacket,
    HttpRequest,
    HttpResponse,
    TftpAck,
    TftpBlock,
    TftpError,
    TftpOptions,
    TftpRequest,
)
from services.tftp import packet as tftp

TftpContent = TftpRequest | TftpOptions | TftpBlock | TftpAck | TftpError

_HEADER = struct.Struct("!BBBBIHH4s4s4s4s16s64s128s4s")
_MESSAGE_TYPE, _OVERLOAD = 53, 52
_REQUEST_LINE = re.compile(rb"(GET|HEAD|POST|PUT) (\S{1,2000}) HTTP/1\.[01]\r\n")
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] (\d{3})[ \r]")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d{1,15})\r\n", re.IGNORECASE)


def encode_dhcp(
    kind: MessageType,
    mac: MacAddress,
    options: Sequence[tuple[int, bytes]],
    *,
    xid: int,
    secs: int = 0,
    ciaddr: IPv4Address = NOWHERE,
) -> bytes:
    """Return a client's DHCP message. A DISCOVER has the broadcast flag, so that we hear the answers."""
    header = BOOTP(
        op=1,
        xid=xid,
        secs=secs,
        flags=BROADCAST_FLAG if kind is MessageType.DISCOVER else 0,
        ciaddr=str(ciaddr),
        chaddr=bytes(mac),
        options=dhcpmagic,
    )
    sent = [(_MESSAGE_TYPE, bytes([kind])), *((int(code), value) for code, value in options)]
    return bytes(header / DHCP(options=[*sent, "end"])).ljust(300, b"\0")


def encode_broadcast(payload: bytes, source: IPv4Address) -> bytes:
    """Return a DHCP client's broadcast with its IP and UDP headers."""
    return bytes(IP(src=str(source), dst="255.255.255.255") / UDP(sport=CLIENT_PORT, dport=SERVER_PORT) / payload)


def decode_dhcp(datagram: bytes) -> DhcpPacket | Ignore:
    """Read a DHCP message to or from an Ethernet client."""
    if len(datagram) <= _HEADER.size:
        return Ignore(Reason.MALFORMED)
    op, kind, length, _, xid, secs, _, ci, yi, si, _, mac, sname, file, cookie = _HEADER.unpack_from(datagram)
    if op not in (1, 2) or (kind, length, cookie) != (1, 6, dhcpmagic):
        return Ignore(Reason.MALFORMED)
    options = read_options(datagram, _HEADER.size)
    overload = options.get(_OVERLOAD, b"\0")[:1]
    if overload in (b"\1", b"\3"):
        read_options(file, found=options)
        file = b""
    if overload in (b"\2", b"\3"):
        read_options(sname, found=options)
        sname = b""
    if not options.get(_MESSAGE_TYPE):
        return Ignore(Reason.NOT_NETBOOT)
    return DhcpPacket(
        reply=op == 2,
        kind=options[_MESSAGE_TYPE][0],
        xid=xid,
        secs=secs,
        ciaddr=IPv4Address(ci),
        yiaddr=IPv4Address(yi),
        siaddr=IPv4Address(si),
        mac=MacAddress.from_bytes(mac[:6]),
        sname=_text(sname),
        file=_text(file),
        options=options,
    )


def decode_tftp(datagram: bytes) -> TftpContent | Ignore:
    """Read a TFTP packet from either side."""
    match datagram[:2]:
        case b"\0\3" if len(datagram) >= 4:
            return TftpBlock(int.from_bytes(datagram[2:4], "big"), len(datagram) - 4)
        case b"\0\6":
            words = [word.decode("latin-1") for word in datagram[2:].split(b"\0")]
            return TftpOptions({name.lower(): value for name, value in zip(words[::2], words[1::2], strict=False)})
    match tftp.decode(datagram):
        case tftp.ReadRequest(name, _, options):
            return TftpRequest(name, dict(options))
        case tftp.Ack(number):
            return TftpAck(number)
        case tftp.Error(code, message):
            return TftpError(code, message)
        case _:
            return Ignore(Reason.MALFORMED)


def decode_http(segment: bytes) -> HttpRequest | HttpResponse | Ignore:
    """Read the first line of a request or response that begins with this segment."""
    if request := _REQUEST_LINE.match(segment):
        return HttpRequest(request[1].decode(), request[2].decode("latin-1"))
    if status := _STATUS_LINE.match(segment):
        length = _LENGTH.search(segment.partition(b"\r\n\r\n")[0] + b"\r\n")
        return HttpResponse(int(status[1]), int(length[1]) if length else None)
    return Ignore(Reason.MALFORMED)


def size_request(name: str, options: dict[str, int]) -> bytes:
    """Return a TFTP read request in octet mode with options."""
    words = [name, "octet", *(str(word) for option in options.items() for word in option)]
    return b"\0\1" + b"".join(word.encode("latin-1", "replace") + b"\0" for word in words)


def _text(data: bytes) -> str:
    return data.partition(b"\0")[0].decode("latin-1")
