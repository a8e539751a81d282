"""What the services saw and did, as plain values. They carry no time: the code that records them adds it."""

from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address

from services.decision import Reason
from services.ethernet import MacAddress


@dataclass(frozen=True, slots=True)
class Discovered:
    """A DHCPDISCOVER of an allowed client, or its question to port 4011 where another server has port 67.

    `architecture` is the first number of option 93 that we support. `ipxe`: iPXE asks; `http`: UEFI HTTP boot asks.
    `fingerprint` is that of the firmware (services/dhcp/fingerprint.py), empty in records of older versions.
    """

    mac: MacAddress
    architecture: int
    ipxe: bool
    xid: int
    secs: int
    http: bool = False
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class Offered:
    """An answer was sent to the client: an OFFER on port 67, or the ACK of a boot server request on port 4011."""

    mac: MacAddress
    boot_file: str
    port: int


@dataclass(frozen=True, slots=True)
class AddressSeen:
    """An allowed client uses, or asks its DHCP server for, this IPv4 address."""

    mac: MacAddress
    address: IPv4Address


@dataclass(frozen=True, slots=True)
class LeaseChosen:
    """An allowed client took the offer of the DHCP server `server`; `ours`: that server is the box."""

    mac: MacAddress
    server: IPv4Address
    ours: bool


@dataclass(frozen=True, slots=True)
class Ignored:
    """A request got no answer. `client` is its MAC address where that is known, else its IP address."""

    service: str
    client: str
    reason: Reason
    detail: str = ""


@dataclass(frozen=True, slots=True)
class TransferProgressed:
    """`sent` of the `size` bytes of `path` were acknowledged; the first event of a transfer has sent = 0."""

    mac: MacAddress
    service: str
    path: str
    sent: int
    size: int


@dataclass(frozen=True, slots=True)
class TransferServed:
    """The client has all of `path`: it acknowledged every byte or, by HTTP, all but the last 64 kB and then nothing for
    1 s (services/http/slow_client.py)."""

    mac: MacAddress
    service: str
    path: str
    size: int
    seconds: float


@dataclass(frozen=True, slots=True)
class TransferFailed:
    """A transfer ended before its last byte: it was given up, the client refused it, or its connection closed."""

    mac: MacAddress
    service: str
    path: str
    sent: int
    why: str


@dataclass(frozen=True, slots=True)
class ScriptServed:
    """The client fetched its boot script. `root` is how the live system gets its root: "nfs" or "http"."""

    mac: MacAddress
    root: str = "nfs"


@dataclass(frozen=True, slots=True)
class EntryStarted:
    """The client got the script of this menu entry. The entry "boinc" has an event only when it follows another one."""

    mac: MacAddress
    entry: str


class ReportedStage(StrEnum):
    """The stages of a boot that the live system reports, in the words that its scripts send (image/tree/)."""

    INITRD = "initrd"
    ROOT_MOUNTED = "root-mounted"
    REPORTED = "reported"
    ATTACHED = "attached"
    COMPUTING = "computing"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Reported:
    """The live system reported a stage of its boot, with details of its own (`uptime`, `hostid`, …). `stage` is a
    ReportedStage, or a word that a newer version recorded."""

    mac: MacAddress
    stage: str
    details: dict[str, str] = field(default_factory=dict)


Event = (
    Discovered
    | Offered
    | AddressSeen
    | LeaseChosen
    | Ignored
    | TransferProgressed
    | TransferServed
    | TransferFailed
    | ScriptServed
    | EntryStarted
    | Reported
)
