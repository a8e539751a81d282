"""Leases, and what a DHCP server decides about them: plain data. The rules are in leasing.py."""

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address

from services.decision import Ignore
from services.dhcp.pool import Subnet
from services.ethernet import MacAddress


class State(StrEnum):
    """The state of a lease. One that ended is kept, so that its client gets the same address again."""

    LEASED = "leased"
    RELEASED = "released"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True)
class Lease:
    """An address, and who has it, had it or blocks it. `expires` is in seconds since 1970; `client_id` is option
    61, uninterpreted."""

    address: IPv4Address
    mac: MacAddress
    client_id: bytes
    state: State
    expires: float


@dataclass(frozen=True, slots=True)
class LeaseOffer:
    """OFFER this address; `probe`: only after a probe has found nobody there."""

    address: IPv4Address
    subnet: Subnet
    probe: bool


@dataclass(frozen=True, slots=True)
class LeaseGrant:
    """ACK this lease, once it is saved. `new`: the client did not have it before."""

    lease: Lease
    subnet: Subnet
    new: bool


@dataclass(frozen=True, slots=True)
class Information:
    """ACK an INFORM: the options of the network's clients, without a lease."""

    subnet: Subnet


@dataclass(frozen=True, slots=True)
class Nak:
    """NAK, and why."""

    why: str


@dataclass(frozen=True, slots=True)
class Recorded:
    """A RELEASE was recorded; there is no answer."""

    lease: Lease


@dataclass(frozen=True, slots=True)
class Declined:
    """A DECLINE: this address is not offered for a while. There is no answer."""

    address: IPv4Address


Decision = LeaseOffer | LeaseGrant | Information | Nak | Recorded | Declined | Ignore
