"""What the services saw and did, as plain values. They carry no time: the code that records them adds it."""

from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address

from services.decision import Reason
from services.ethernet import MacAddress
from services.values import value


@value
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


@value
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
    """`count` requests got no answer. `client` is the MAC address that they claim or that is known, else the IP
    address; `sender` is the IP address that they came from, empty where that says nothing."""

    service: str
    client: str
    reason: Reason
    detail: str = ""
    sender: str = ""
    count: int = 1


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
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Reported:
    """The live system reported a stage of its boot, with details of its own (`uptime`, `hostid`, …). `stage` is a
    ReportedStage, or a word that a newer version recorded."""

    mac: MacAddress
    stage: str
    details: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TokenExchanged:
    """The live system exchanged the token of its command line for another one. `spent` is derived from the old one, and
    recognises it (appliance/boot/policy.py); neither token is in the event."""

    mac: MacAddress
    spent: str


@dataclass(frozen=True, slots=True)
class SecretsServed:
    """The client fetched its BOINC files, with the token that it had got in exchange, for the first time."""

    mac: MacAddress


@dataclass(frozen=True, slots=True)
class SecretsClosed:
    """The boot began with a script or a loader alone, although the client's boots begin with `until` (a stage) here. It
    may be a program of the running PC that asked: the token of this boot opens no secrets."""

    mac: MacAddress
    until: str


@dataclass(frozen=True, slots=True)
class Returned:
    """A power-on after one whose live system never came up. `times` such boots came in a row, the first at `since`
    (seconds since the epoch). The last of them had reached `stage`, had taken `file` last, and was heard `after`
    seconds before this one."""

    mac: MacAddress
    times: int
    since: float
    stage: str
    file: str
    after: float


@dataclass(frozen=True, slots=True)
class GaveUp:
    """The live system did not come up in `times` boots in a row: this one starts the client's own disk."""

    mac: MacAddress
    times: int


@dataclass(frozen=True, slots=True)
class WentBack:
    """The client's last boots failed with the release `failed`: this one starts `release`, with which it computed
    before. `why` the last one failed, in words."""

    mac: MacAddress
    release: str
    failed: str
    why: str


@dataclass(frozen=True, slots=True)
class CanaryEnded:
    """A release that some clients booted before all did was promoted, rolled back or cancelled, as `verdict` says, for
    this `reason`; this client decided it."""

    mac: MacAddress
    release: str
    verdict: str
    reason: str


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
    | TokenExchanged
    | SecretsServed
    | SecretsClosed
    | Returned
    | GaveUp
    | WentBack
    | CanaryEnded
)
