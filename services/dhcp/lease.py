"""Leases, and what a DHCP server decides about them: plain data. The rules are leasing.py's."""

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address

from services.decision import Ignore
from services.dhcp.pool import Subnet
from services.ethernet import MacAddress


class State(StrEnum):
    """What a lease is. One that ended is kept, so that its client gets the same address again."""

    LEASED = "leased"
    RELEASED = "released"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True)
class Lease:
    """An address and who has, had or blocks it. `expires` is in seconds since 1970; `client_id` is option 61, raw."""

    address: IPv4Address
    mac: MacAddress
    client_id: bytes
    state: State
    expires: float


@dataclass(frozen=True, slots=True)
class Offer:
    """OFFER this address; `probe`: only once it is sure that nobody answers there."""

    address: IPv4Address
    subnet: Subnet
    probe: bool


@dataclass(frozen=True, slots=True)
class LeaseGrant:
    """ACK this lease, once it is written down. `new`: the client did not have it before."""

    lease: Lease
    subnet: Subnet
    new: bool


@dataclass(frozen=True, slots=True)
class Information:
    """ACK of an INFORM: what the network's clients are told, without a lease."""

    subnet: Subnet


@dataclass(frozen=True, slots=True)
class Refusal:
    """NAK, and why."""

    why: str


@dataclass(frozen=True, slots=True)
class Noted:
    """A RELEASE or DECLINE that was taken down; nothing is answered."""

    lease: Lease


Decision = Offer | LeaseGrant | Information | Refusal | Noted | Ignore
