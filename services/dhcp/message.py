"""DHCP messages as values: what a proxyDHCP decision reads of a request, and what it answers.

Plain data. The bytes are packet.py's affair, the rules are proxy.py's.
"""

from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address

from services.ethernet import MacAddress

SERVER_PORT = 67
CLIENT_PORT = 68
BOOT_SERVER_PORT = 4011
BROADCAST_FLAG = 0x8000


class MessageType(IntEnum):
    """Option 53, RFC 2132 section 9.6; only the types that proxyDHCP meets."""

    DISCOVER = 1
    OFFER = 2
    REQUEST = 3
    ACK = 5
    INFORM = 8


class Option(IntEnum):
    """Option codes of RFC 2132, RFC 3004 (77) and RFC 4578 (93, 97); 175 is iPXE's own encapsulated space."""

    VENDOR_OPTIONS = 43
    REQUESTED_ADDRESS = 50
    MESSAGE_TYPE = 53
    SERVER_ID = 54
    VENDOR_CLASS = 60
    TFTP_SERVER = 66
    BOOT_FILE = 67
    USER_CLASS = 77
    ARCHITECTURE = 93
    CLIENT_UUID = 97
    IPXE = 175


@dataclass(frozen=True, slots=True)
class Message:
    """A client's message. Absent options are empty or None; `message_type` may be a number MessageType lacks."""

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


@dataclass(frozen=True, slots=True)
class Arrival:
    """Where a datagram came from, and which of our ports it reached."""

    source: IPv4Address
    source_port: int
    port: int


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer and its destination. `options` are in wire order, without the end mark; yiaddr is always 0."""

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

    def option(self, code: int) -> bytes:
        """The value of the option, or b"" when it is not sent."""
        return next((value for sent, value in self.options if sent == code), b"")
