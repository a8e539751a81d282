"""TFTP datagrams to values and back (RFC 1350, 2347). tftpy's packet classes are the codec and are used only here.

`decode` never raises: on hostile input tftpy's decoder raises UnicodeDecodeError, struct.error or its own exception,
and all of them become `Ignore(MALFORMED)`. It knows nothing of files, sessions or sockets.
"""

import logging
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from tftpy.TftpPacketFactory import TftpPacketFactory
from tftpy.TftpPacketTypes import TftpPacketERR, TftpPacketOACK

from services.decision import Ignore, Reason

LONGEST_REQUEST = 512  # bytes; RFC 2347 allows no more, and tftpy reads byte by byte

_READ, _WRITE, _DATA, _ACK, _ERROR = 1, 2, 3, 4, 5
_HEADER = struct.Struct("!HH")
_OPCODE = struct.Struct("!H")
_TO_ASCII = bytes(value if value < 0x80 else ord("?") for value in range(256))
_FACTORY = TftpPacketFactory()

# tftpy logs every ERROR packet at level ERROR, and Python prints that where logging is not configured. EDK2 sends one
# in each healthy boot.
logging.getLogger("tftpy").setLevel(logging.CRITICAL)


class ErrorCode(IntEnum):
    """The error codes of RFC 1350 and RFC 2347 that a read-only server sends or understands."""

    UNDEFINED = 0
    NOT_FOUND = 1
    ACCESS_VIOLATION = 2
    ILLEGAL_OPERATION = 4
    BAD_OPTIONS = 8


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """RRQ. `name` is as sent, with `?` for each non-ASCII byte; `mode` and the names of `options` are lower case."""

    name: str
    mode: str
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WriteRequest:
    """WRQ, which this server refuses."""

    name: str


@dataclass(frozen=True, slots=True)
class Ack:
    """ACK of a block number modulo 65536."""

    block: int


@dataclass(frozen=True, slots=True)
class Error:
    """ERROR. `message` is printable ASCII of at most 100 characters."""

    code: int
    message: str


Packet = ReadRequest | WriteRequest | Ack | Error


def decode(datagram: bytes) -> Packet | Ignore:
    """Decode one datagram from a client; DATA and OACK, which no reader sends, are malformed here."""
    if len(datagram) < 4:
        return Ignore(Reason.MALFORMED)
    opcode, block = _HEADER.unpack_from(datagram)
    if opcode == _ACK:
        # Without tftpy: this is the hot path, one ACK for each window, and four bytes need no parser. Some clients pad
        # their ACKs; tftpy ignores that as well.
        return Ack(block)
    if opcode == _ERROR:
        return _decode_error(datagram)
    if opcode in (_READ, _WRITE):
        return _decode_request(opcode, datagram)
    return Ignore(Reason.MALFORMED)


def encode_ack(block: int) -> bytes:
    """Return the ACK of `block`, any non-negative count: it rolls over past 65535 to 0."""
    return _HEADER.pack(_ACK, block & 0xFFFF)


def lay_out_headers(buffer: bytearray | memoryview, payload: int, first: int, count: int) -> None:
    """Write the headers of `count` DATA packets from block `first` on, `payload` bytes apart, and zeros between them.

    Block numbers roll over past 65535 to 0. The last packet may have less payload, down to none. Without tftpy: this is
    the hot path, and tftpy formats a struct for every packet. A test compares the packets with tftpy's.
    """
    numbers = (number for block in range(first, first + count) for number in (_DATA, block & 0xFFFF))
    between = f"{payload}x"
    struct.pack_into(">" + between.join(["HH"] * count), buffer, 0, *numbers)


def encode_options(options: Mapping[str, str]) -> bytes:
    """Return the OACK that grants `options`, in their order."""
    packet = TftpPacketOACK()
    packet.options = dict(options)
    return bytes(packet.encode().buffer)


def encode_error(code: ErrorCode, message: str) -> bytes:
    """Return an ERROR with an ASCII `message`."""
    packet = TftpPacketERR()
    packet.errorcode = int(code)
    # tftpy would send its own texts, and has none for code 0; ours are for the person in front of the firmware screen.
    packet.errmsgs = {int(code): message.encode("ascii", "replace")}
    return bytes(packet.encode().buffer)


def _decode_error(datagram: bytes) -> Error | Ignore:
    try:
        packet = _FACTORY.parse(datagram)
    except Exception:  # whatever tftpy's struct and codec calls raise; one datagram must end only itself
        return Ignore(Reason.MALFORMED)
    message = bytes(packet.errmsg or b"")[:100].translate(_TO_ASCII).decode("ascii")
    return Error(int(packet.errorcode), "".join(letter if letter.isprintable() else "?" for letter in message))


def _decode_request(opcode: int, datagram: bytes) -> ReadRequest | WriteRequest | Ignore:
    if len(datagram) > LONGEST_REQUEST:
        return Ignore(Reason.MALFORMED)
    # Boot files have ASCII names. shim asks for garbled ones (shim#696): with `?` for each stray byte such a name is
    # looked up like any other, and the client gets "file not found" at once instead of waiting for an answer.
    body = datagram[2:].translate(_TO_ASCII)
    parts = body.split(b"\0", 2)
    if len(parts) < 3:
        return Ignore(Reason.MALFORMED)
    required = b"%b\0%b\0" % (parts[0], parts[1])
    # Garbled options cost a client its options, not its boot: the second attempt is the request without them.
    for text in (body, required):
        try:
            packet = _FACTORY.parse(_OPCODE.pack(opcode) + text)
        except Exception:  # noqa: S112 - as above
            continue
        if opcode == _WRITE:
            return WriteRequest(str(packet.filename))
        options = {str(name).lower(): str(value) for name, value in packet.options.items()}
        return ReadRequest(str(packet.filename), str(packet.mode), options)
    return Ignore(Reason.MALFORMED)
