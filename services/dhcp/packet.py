"""DHCP datagrams to and from values: RFC 2131 header, RFC 2132 options, RFC 3396 long options.

scapy stops here. Reading tolerates whatever firmware sends and never raises; writing is strict. Not read: options that
overflow into the sname and file fields (option 52), which no boot firmware uses.
"""

from collections.abc import Iterator
from ipaddress import IPv4Address
from typing import Any

from scapy.layers.dhcp import BOOTP, DHCP, DHCPOptions, dhcpmagic

from services.decision import Ignore, Reason
from services.dhcp.message import BOOT_SERVER_PORT, Message, Option, Reply
from services.ethernet import MacAddress

MAX_DATAGRAM = 2048
"""Longest datagram read, in bytes. Clients send at most 1472, what one Ethernet frame holds."""

MIN_REPLY = 300
"""Shortest reply, in bytes: BOOTP's size (RFC 951), below which some clients drop the packet."""

MAX_BROKEN = 16
"""Unreadable options that are skipped in one datagram; reading ends at the next one, since each costs a parse."""

_OPTIONS_START = 240
_REQUEST_ON_ETHERNET = b"\x01\x01\x06"
_DISCOVER = b"\x35\x01\x01"
_NAMES = {
    (name if isinstance(name := DHCPOptions.get(code, code), int | str) else str(name.name)): int(code)
    for code in Option
}


def peek(datagram: bytes) -> MacAddress | Ignore:
    """Return the client's MAC address by a few comparisons, so that strangers cost next to nothing.

    Ignore(MALFORMED) when it is no DHCP request of an Ethernet client, or longer than MAX_DATAGRAM.
    """
    if not _OPTIONS_START < len(datagram) <= MAX_DATAGRAM:
        return Ignore(Reason.MALFORMED)
    if datagram[:3] != _REQUEST_ON_ETHERNET or datagram[236:_OPTIONS_START] != dhcpmagic:
        return Ignore(Reason.MALFORMED)
    return MacAddress.from_bytes(datagram[28:34])


def looks_like_boot(datagram: bytes, port: int) -> bool:
    """Whether a datagram seems to be a network boot request, by its bytes alone: enough to decide on a log line."""
    if b"PXEClient" not in datagram and b"HTTPClient" not in datagram:
        return False
    return port == BOOT_SERVER_PORT or _DISCOVER in datagram


def decode(datagram: bytes) -> Message | Ignore:
    """Read a client's message; Ignore(MALFORMED), or Ignore(NOT_NETBOOT) for BOOTP without a message type."""
    mac = peek(datagram)
    if isinstance(mac, Ignore):
        return mac
    try:
        header = BOOTP(datagram)
        options = _options(header.payload)
        xid, secs, flags = int(header.xid), int(header.secs), int(header.flags)
        ciaddr, giaddr = IPv4Address(header.ciaddr), IPv4Address(header.giaddr)
    except Exception:  # scapy's dissectors raise struct.error, TypeError, IndexError … on hostile bytes
        return Ignore(Reason.MALFORMED)
    if not options[Option.MESSAGE_TYPE]:
        return Ignore(Reason.NOT_NETBOOT)
    architectures = options[Option.ARCHITECTURE]
    return Message(
        message_type=options[Option.MESSAGE_TYPE][0],
        xid=xid,
        secs=secs,
        flags=flags,
        ciaddr=ciaddr,
        giaddr=giaddr,
        mac=mac,
        vendor_class=options[Option.VENDOR_CLASS].rstrip(b"\0").decode("latin-1"),
        architectures=tuple(
            int.from_bytes(architectures[at : at + 2], "big") for at in range(0, len(architectures) - 1, 2)
        ),
        user_classes=_user_classes(options[Option.USER_CLASS]),
        ipxe_options=bool(options[Option.IPXE]),
        client_uuid=options[Option.CLIENT_UUID],
        vendor_options=options[Option.VENDOR_OPTIONS],
        requested_address=_address(options[Option.REQUESTED_ADDRESS]),
        server_id=_address(options[Option.SERVER_ID]),
        client_id=options[Option.CLIENT_ID],
        relay_information=options[Option.RELAY_INFORMATION],
    )


def encode(reply: Reply) -> bytes:
    """Return the datagram, at least MIN_REPLY bytes; raises ValueError when a field does not fit its place."""
    for name, value, room in (("sname", reply.sname, 64), ("file", reply.file, 128)):
        if len(value) >= room:
            raise ValueError(f"{name} holds at most {room - 1} bytes and its NUL, not {len(value)}")
    for code, value in reply.options:
        if len(value) > 255:
            raise ValueError(f"option {code} holds at most 255 bytes, not {len(value)}")
    header = BOOTP(
        op=2,
        xid=reply.xid,
        flags=reply.flags,
        ciaddr=str(reply.ciaddr),
        yiaddr=str(reply.yiaddr),
        siaddr=str(reply.siaddr),
        giaddr=str(reply.giaddr),
        chaddr=bytes(reply.mac),
        sname=reply.sname,
        file=reply.file,
        options=dhcpmagic,
    )
    options = [(int(code), value) for code, value in reply.options]
    datagram = bytes(header / DHCP(options=[*options, "end"]))
    return datagram.ljust(MIN_REPLY, b"\0")


def _options(payload: Any) -> dict[Option, bytes]:
    """The options we read, as bytes; an option sent in several pieces is joined (RFC 3396)."""
    found = dict.fromkeys(Option, b"")
    for name, values in _scapy_options(payload):
        code = _NAMES.get(name)
        if code is not None:
            found[Option(code)] += b"".join(_octets(value) for value in values)
    return found


def _scapy_options(payload: Any) -> Iterator[tuple[int | str, tuple[Any, ...]]]:
    """scapy's options up to the end mark. Where scapy gives up at one option, go on behind it."""
    broken = 0
    pending = list(getattr(payload, "options", []))
    while pending:
        option = pending.pop(0)
        if option == "end":
            return
        if isinstance(option, tuple):
            yield option[0], option[1:]
        elif isinstance(option, bytes) and broken < MAX_BROKEN and 2 <= len(option) >= 2 + option[1]:
            broken += 1
            # A value that scapy cannot read (an address of three bytes …) must not hide the options after it.
            pending = list(DHCP(option[2 + option[1] :]).options)


def _octets(value: object) -> bytes:
    """Undo scapy's mixed types. Of the options we read, only 53 is an integer, and only addresses are str."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, int):
        return bytes([value & 0xFF])
    return IPv4Address(value).packed if isinstance(value, str) else b""


def _address(octets: bytes) -> IPv4Address | None:
    return IPv4Address(octets) if len(octets) == 4 else None


def _user_classes(octets: bytes) -> tuple[str, ...]:
    """Option 77 as RFC 3004 has it, a list of counted strings; else one bare string, as iPXE and many others send."""
    octets = octets.rstrip(b"\0")
    classes = []
    at = 0
    while at < len(octets):
        end = at + 1 + octets[at]
        if octets[at] == 0 or end > len(octets):
            return (octets.decode("latin-1"),)
        classes.append(octets[at + 1 : end].decode("latin-1"))
        at = end
    return tuple(classes)
