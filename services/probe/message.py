"""What passes between a PC that boots and its servers, as values, seen from outside. PURE.

The same values come from a capture (capture.py) and from a probe (client.py); explanation.py makes sense of them.
codec.py reads and writes their bytes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv4Address
from urllib.parse import SplitResult, urljoin, urlsplit

from services.dhcp.message import Option
from services.ethernet import MacAddress

NOWHERE = IPv4Address(0)


def url_parts(url: str) -> SplitResult:
    """The parts of a URL that somebody sent; all of them are empty for text that is none, such as `http://[`."""
    try:
        return urlsplit(url)
    except ValueError:
        return SplitResult("", "", "", "", "")


def absolute(base: str, name: str) -> str:
    """The absolute URL of a name found at the URL `base`; the name itself where the two make none."""
    try:
        return urljoin(base, name)
    except ValueError:
        return name


@dataclass(frozen=True, slots=True)
class DhcpPacket:
    """A DHCP message from either side; `reply`: from a server. `options` are those present, joined (RFC 3396)."""

    reply: bool
    kind: int
    xid: int
    secs: int
    ciaddr: IPv4Address
    yiaddr: IPv4Address
    siaddr: IPv4Address
    mac: MacAddress
    sname: str
    file: str
    options: Mapping[int, bytes] = field(default_factory=dict)

    @property
    def vendor_class(self) -> str:
        """Option 60."""
        return self.text(Option.VENDOR_CLASS)

    @property
    def boot_file(self) -> str:
        """The header's file, else option 67."""
        return self.file or self.text(Option.BOOT_FILE)

    @property
    def boot_server(self) -> IPv4Address:
        """Where the boot file is: the URL's address, else siaddr, else option 66 or 54; 0.0.0.0 without all of them."""
        named = url_parts(self.boot_file).hostname if "://" in self.boot_file else None
        for text in (named, None if self.siaddr == NOWHERE else str(self.siaddr), self.text(Option.TFTP_SERVER)):
            try:
                if text:
                    return IPv4Address(text)
            except AddressValueError:
                continue
        return self.server

    @property
    def server(self) -> IPv4Address:
        """Option 54: the server that says this, or that a client speaks to; 0.0.0.0 when absent."""
        return self.address(Option.SERVER_ID) or NOWHERE

    def text(self, code: int) -> str:
        """An option as text up to its NUL; empty when absent."""
        return self.options.get(code, b"").partition(b"\0")[0].decode("latin-1")

    def address(self, code: int) -> IPv4Address | None:
        """An option as an address; None when it is absent or no address."""
        data = self.options.get(code, b"")
        return IPv4Address(data) if len(data) == 4 else None


@dataclass(frozen=True, slots=True)
class TftpRequest:
    """RRQ."""

    name: str
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TftpOptions:
    """OACK."""

    options: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class TftpBlock:
    """DATA: its number on the wire and its length in bytes."""

    number: int
    size: int


@dataclass(frozen=True, slots=True)
class TftpAck:
    """ACK."""

    number: int


@dataclass(frozen=True, slots=True)
class TftpError:
    """ERROR from either side."""

    code: int
    message: str


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """The first line of a request."""

    method: str
    target: str


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """The status of a response, and its length in bytes if it says so."""

    status: int
    length: int | None


@dataclass(frozen=True, slots=True)
class Reset:
    """The server ended a TCP connection with RST, or refused it."""


@dataclass(frozen=True, slots=True)
class Unreachable:
    """The server's host says by ICMP that nobody listens on that port."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A probe got a complete file. `expected` is the sha256 it should have, in hex; empty if unknown here."""

    name: str
    size: int
    sha256: str
    expected: str = ""


@dataclass(frozen=True, slots=True)
class Broken:
    """A probe did not get a file, or not all of it."""

    name: str
    why: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A probe got no file because its host is not the PC, as it should be. `how` is what it saw."""

    name: str
    how: str


@dataclass(frozen=True, slots=True)
class Checked:
    """A file that a probe could not fetch, as it is on the box's own disk."""

    name: str
    good: bool
    words: str


@dataclass(frozen=True, slots=True)
class Note:
    """Something that a reader of the conversation should know. `boot_server_unasked`: port 4011 could not be asked."""

    words: str
    boot_server_unasked: bool = False


Content = (
    DhcpPacket
    | TftpRequest
    | TftpOptions
    | TftpBlock
    | TftpAck
    | TftpError
    | HttpRequest
    | HttpResponse
    | Reset
    | Unreachable
    | Fetched
    | Broken
    | Refused
    | Checked
    | Note
)


@dataclass(frozen=True, slots=True)
class Packet:
    """One thing that was said: `at` is in seconds from any origin, `outgoing` is from the client.

    `port` is the server's, `client_port` the client's.
    """

    at: float
    outgoing: bool
    server: IPv4Address
    port: int
    client_port: int
    content: Content
