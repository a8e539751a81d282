"""DHCP messages as values: what the rules read of a request, and what they answer.

Plain data. packet.py translates it from and to bytes; the rules are in pxe_rules.py and leasing.py.
"""

from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address

from services.ethernet import MacAddress
from services.values import value

SERVER_PORT = 67
CLIENT_PORT = 68
BOOT_SERVER_PORT = 4011
BROADCAST_FLAG = 0x8000
NOWHERE = IPv4Address(0)
EVERYONE = IPv4Address("255.255.255.255")

Peer = tuple[str, int]
"""An IPv4 address in dotted form, and a port."""


class MessageType(IntEnum):
    """Option 53, RFC 2132 section 9.6."""

    DISCOVER = 1
    OFFER = 2
    REQUEST = 3
    DECLINE = 4
    ACK = 5
    NAK = 6
    RELEASE = 7
    INFORM = 8


class Option(IntEnum):
    """Option codes of RFC 2132, RFC 3004 (77), RFC 3046 (82) and RFC 4578 (93, 97). 175 contains iPXE's own options."""

    SUBNET_MASK = 1
    ROUTER = 3
    DNS = 6
    BROADCAST_ADDRESS = 28
    NTP = 42
    VENDOR_OPTIONS = 43
    REQUESTED_ADDRESS = 50
    LEASE_TIME = 51
    MESSAGE_TYPE = 53
    SERVER_ID = 54
    RENEWAL_TIME = 58
    REBINDING_TIME = 59
    VENDOR_CLASS = 60
    CLIENT_ID = 61
    TFTP_SERVER = 66
    BOOT_FILE = 67
    USER_CLASS = 77
    RELAY_INFORMATION = 82
    ARCHITECTURE = 93
    CLIENT_UUID = 97
    IPXE = 175


@value
class Message:
    """A client's message. Absent options are empty or None. `message_type` may be a number that MessageType lacks."""

    message_type: int
    xid: int
    secs: int
    flags: int
    ciaddr: IPv4Address
    giaddr: IPv4Address
    mac: MacAddress
    vendor_class: str
    architectures: tuple[int, ...]
    user_classes: tuple[str, ...]
    ipxe_options: bool
    client_uuid: bytes
    vendor_options: bytes
    requested_address: IPv4Address | None
    server_id: IPv4Address | None
    client_id: bytes = b""
    relay_information: bytes = b""
    ipxe_http: bool = True
    """False where iPXE sends the list of its features and HTTP is not among them."""
    link: IPv4Address | None = None
    """An address of the client's network, where its relay says so (RFC 3527); giaddr is then only the relay's own."""
    server_override: IPv4Address | None = None
    """What the relay wants to be named as the server (RFC 5107): the client then sends it what it sends to a server."""

    @property
    def relayed(self) -> bool:
        """Whether a relay has passed it on. Looks at the object first: ipaddress compares addresses slowly."""
        return self.giaddr is not NOWHERE and self.giaddr != NOWHERE

    def server_named(self, own: IPv4Address) -> IPv4Address:
        """Option 54 of the answer, from our address."""
        return self.server_override or own

    @property
    def ipxe(self) -> bool:
        """Whether iPXE asks, by its user class or its own options."""
        return "iPXE" in self.user_classes or self.ipxe_options


@dataclass(frozen=True, slots=True)
class Arrival:
    """Where a datagram came from, and which of our ports it reached."""

    source: IPv4Address
    source_port: int
    port: int


@value
class Reply:
    """An answer and its destination. `options` are in wire order, without the end mark; yiaddr is 0 where no address is
    given. The answer is to be sent after `delay` seconds."""

    message_type: MessageType
    xid: int
    flags: int
    ciaddr: IPv4Address
    siaddr: IPv4Address
    giaddr: IPv4Address
    mac: MacAddress
    sname: bytes
    file: bytes
    options: tuple[tuple[int, bytes], ...]
    destination: IPv4Address
    destination_port: int
    yiaddr: IPv4Address = NOWHERE
    delay: float = 0.0

    def option(self, code: int) -> bytes:
        """The value of the option, or b"" where it is not among them."""
        return next((value for sent, value in self.options if sent == code), b"")


def is_host(address: IPv4Address) -> bool:
    """Whether it is the address of one machine, to which an answer may be sent."""
    return not (address == NOWHERE or address.is_multicast or address.is_loopback or address.is_reserved)
