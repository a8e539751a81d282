"""Why a service does not answer: the one list of reasons.

Every refusal is an `Ignore` with one of these reasons; the log, the CLI and the doctor show the same words.
"""

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """Why a request gets no answer, in the words that people read."""

    NOT_ALLOWED = "its MAC address is not in the allowlist"
    NOT_NETBOOT = "not a network boot request (no PXEClient or HTTPClient class, or no architecture)"
    UNSUPPORTED_FIRMWARE = "its firmware architecture is not supported"
    NO_LOADER = "there is no boot loader for its firmware: name one in [boot.loaders] of the configuration"
    NOT_FOR_US = "the request was addressed to another server"
    NO_POOL = "there is no address pool for its network: see [dhcp] pool and router in the configuration"
    POOL_EMPTY = "every address of the pool is taken"
    NO_LEASE = "it asks for an address that was not leased to it here"
    STILL_USED = "somebody declined its address in its name, but the neighbour table has it there"
    MALFORMED = "the packet is malformed"
    UNKNOWN_NEIGHBOUR = "the kernel's neighbour table has no MAC address for it"
    MAC_MISMATCH = "the neighbour table has a different MAC address for it than the one it claims"
    NO_CLAIM = "it is behind a router and its request names no MAC address"
    UNKNOWN_RELAY = "this relay is in no network that the box serves: name it in [dhcp] relays, or its network in [nfs]"
    OUTSIDE_NETWORKS = "its address is outside the configured networks"
    NO_BOOT = "this MAC address has no boot under way"
    TOKEN_INVALID = "its token does not belong to the current boot of this MAC address"  # noqa: S105
    TOKEN_SPENT = "its live system is already up, and the secrets are served only before that"  # noqa: S105
    NO_IMAGE = "no image is active"
    NO_IMAGE_OF_RANGE = "the image of its range has no active release"
    NO_FILE = "there is no such file"
    OUTSIDE_ROOT = "the path leads outside the boot root"
    UNREADABLE = "the server cannot read that file"
    PASSWORD_NEEDED = "the menu entry is locked, and no password came with the request"  # noqa: S105
    PASSWORD_WRONG = "the password for a locked menu entry was wrong"  # noqa: S105
    PASSWORDS_BLOCKED = "too many wrong passwords for locked menu entries: none is checked for some minutes"
    READ_ONLY = "this server accepts no uploads"
    STOPPING = "the server is stopping"
    TOO_MANY_REPORTS = "its live system reports, or exchanges its token, more often than a boot has to"
    TOO_MANY_HEARTBEATS = "its live system sends heartbeats more often than it has to"
    TOO_MANY_EVENTS = "its boot has had more events than are recorded of one boot"
    TOO_MANY = "too many transfers are under way"
    TOO_OFTEN = "its MAC address asks more often than any firmware does"


@dataclass(frozen=True, slots=True)
class Ignore:
    """No answer, and the reason."""

    reason: Reason
