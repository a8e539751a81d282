"""DHCP datagrams to and from values: RFC 2131 header, RFC 2132 options, RFC 3396 long options.

Requests are read byte by byte: a room that is switched on at once must not wait for a general dissector. Replies are
written by scapy, which no other module of the server knows; reply_templates.py reuses what it wrote. Reading tolerates
whatever firmware sends and never raises; writing is strict. Options that continue in the sname and file fields (option
52) are not read: no boot firmware uses them.
"""

import importlib
import struct
from ipaddress import IPv4Address

from services.decision import Ignore, Reason
from services.dhcp.message import BOOT_SERVER_PORT, NOWHERE, Message, Option, Reply, is_host
from services.dhcp.options import read_options
from services.ethernet import MacAddress

MAX_DATAGRAM = 2048
"""Longest datagram read, in bytes. Clients send at most 1472, what one Ethernet frame holds."""

MIN_REPLY = 300
"""Shortest reply, in bytes: BOOTP's size (RFC 951), below which some clients drop the packet."""

BOOT_MARK = b"Client"
"""Found in every boot request (option 60: PXEClient, HTTPClient), and in few other datagrams."""

_OPTIONS_START = 240
_REQUEST_ON_ETHERNET = b"\x01\x01\x06"
_COOKIE = b"\x63\x82\x53\x63"
_DISCOVER = b"\x35\x01\x01"
# xid, secs, flags, ciaddr, giaddr: RFC 2131, figure 1.
_HEADER = struct.Struct("!4xIHH4s8x4s")
_READ = frozenset(int(code) for code in Option)
_NO_ADDRESS = bytes(4)
# Sub-options of option 82: RFC 3527 and RFC 5107.
_LINK_SELECTION, _SERVER_OVERRIDE = 5, 11
_IPXE_HTTP = 19  # in option 175: DHCP_EB_FEATURE_HTTP (iPXE, src/include/ipxe/features.h)


def peek(datagram: bytes) -> MacAddress | Ignore:
    """Return the client's MAC address after a few comparisons, so that strangers cost next to nothing.

    Ignore(MALFORMED): not a DHCP request of an Ethernet client, or longer than MAX_DATAGRAM.
    """
    if not _OPTIONS_START < len(datagram) <= MAX_DATAGRAM:
        return Ignore(Reason.MALFORMED)
    if datagram[:3] != _REQUEST_ON_ETHERNET or datagram[236:_OPTIONS_START] != _COOKIE:
        return Ignore(Reason.MALFORMED)
    return MacAddress.from_bytes(datagram[28:34])


def looks_like_boot(datagram: bytes, port: int) -> bool:
    """Whether a datagram seems to be a network boot request, judged by its bytes alone. Good enough to decide whether
    its refusal is reported."""
    if b"PXEClient" not in datagram and b"HTTPClient" not in datagram:
        return False
    return port == BOOT_SERVER_PORT or _DISCOVER in datagram


def decode(datagram: bytes) -> Message | Ignore:
    """Read a client's message; Ignore(MALFORMED), or Ignore(NOT_NETBOOT) for BOOTP without a message type."""
    mac = peek(datagram)
    if isinstance(mac, Ignore):
        return mac
    options = read_options(datagram, _OPTIONS_START, _READ)
    kind = options.get(Option.MESSAGE_TYPE)
    if not kind:
        return Ignore(Reason.NOT_NETBOOT)
    xid, secs, flags, ciaddr, giaddr = _HEADER.unpack_from(datagram)
    get = options.get
    architectures = get(Option.ARCHITECTURE, b"")
    user_class, ipxe = get(Option.USER_CLASS), get(Option.IPXE)
    relay_information = get(Option.RELAY_INFORMATION, b"")
    # Without giaddr there is no relay, and where the message arrived shows the network. A client could say anything.
    relayed = relay_information and giaddr != _NO_ADDRESS
    link, server_override = _wishes(relay_information) if relayed else (None, None)
    return Message(
        message_type=kind[0],
        xid=xid,
        secs=secs,
        flags=flags,
        ciaddr=NOWHERE if ciaddr == _NO_ADDRESS else IPv4Address(ciaddr),
        giaddr=NOWHERE if giaddr == _NO_ADDRESS else IPv4Address(giaddr),
        mac=mac,
        vendor_class=get(Option.VENDOR_CLASS, b"").rstrip(b"\0").decode("latin-1"),
        architectures=tuple(
            int.from_bytes(architectures[at : at + 2], "big") for at in range(0, len(architectures) - 1, 2)
        ),
        user_classes=_user_classes(user_class) if user_class else (),
        ipxe_options=bool(ipxe),
        client_uuid=get(Option.CLIENT_UUID, b""),
        vendor_options=get(Option.VENDOR_OPTIONS, b""),
        requested_address=_address(get(Option.REQUESTED_ADDRESS)),
        server_id=_address(get(Option.SERVER_ID)),
        client_id=get(Option.CLIENT_ID, b""),
        relay_information=relay_information,
        ipxe_http=not ipxe or _IPXE_HTTP in read_options(ipxe),
        link=link,
        server_override=server_override,
    )


def load() -> None:
    """Load scapy ahead of the first `encode`: it takes longer than the rest of the start together. In any thread."""
    importlib.import_module("scapy.layers.dhcp")


def encode(reply: Reply) -> bytes:
    """Return the datagram, at least MIN_REPLY bytes; raises ValueError when a value is too long for its field."""
    from scapy.layers.dhcp import BOOTP, DHCP, dhcpmagic  # noqa: PLC0415 - see load()

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


def _address(data: bytes | None) -> IPv4Address | None:
    return IPv4Address(data) if data and len(data) == 4 else None


def _wishes(relay_information: bytes) -> tuple[IPv4Address | None, IPv4Address | None]:
    """What the relay says of the client's network, and what it wants as the server; None for what is malformed."""
    found = read_options(relay_information)
    link, server = (_address(found.get(code)) for code in (_LINK_SELECTION, _SERVER_OVERRIDE))
    return link if link and is_host(link) else None, server if server and is_host(server) else None


def _user_classes(data: bytes) -> tuple[str, ...]:
    """Option 77: a list of counted strings (RFC 3004), or one bare string, which iPXE and many others send."""
    data = data.rstrip(b"\0")
    classes = []
    at = 0
    while at < len(data):
        end = at + 1 + data[at]
        if data[at] == 0 or end > len(data):
            return (data.decode("latin-1"),)
        classes.append(data[at + 1 : end].decode("latin-1"))
        at = end
    return tuple(classes)
