"""A conversation with the rules of the DHCP server: `wire >> what a client sends << the decision`, in words."""

from ipaddress import IPv4Address, IPv4Network
from typing import Self

from services.decision import Ignore
from services.dhcp import packet
from services.dhcp.lease import Decision, Declined, Information, Lease, LeaseGrant, LeaseOffer, Nak, Recorded
from services.dhcp.leasing import Leasing
from services.dhcp.pool import AddressRange, Subnet
from services.ethernet import MacAddress
from tests.fakes.dhcp_client import NOWHERE, message, option

DISCOVER, REQUEST, DECLINE, RELEASE, INFORM = 1, 3, 4, 7, 8
BOX = IPv4Address("10.77.0.1")
A, B, C = (bytes.fromhex(f"5254007700{number:02x}") for number in (10, 11, 12))
STATIC = bytes.fromhex("525400770050")
LAN = Subnet(
    IPv4Network("10.77.0.0/24"),
    (AddressRange.parse("10.77.0.100-10.77.0.102"),),
    {MacAddress.from_bytes(STATIC): IPv4Address("10.77.0.50")},
    lease_seconds=1000,
)
REMOTE = Subnet(IPv4Network("10.88.0.0/24"), (AddressRange.parse("10.88.0.100-10.88.0.110"),), lease_seconds=1000)
RELAY = "10.88.0.1"


def says(
    kind: int,
    mac: bytes,
    *,
    wants: str = "",
    server: str = "",
    ciaddr: str = NOWHERE,
    giaddr: str = NOWHERE,
    link: str = "",
    override: str = "",
) -> bytes:
    """A client's message; `wants` is option 50, `server` option 54; `link` and `override` are sub-options 5 and 11 of
    option 82."""
    options = [(50, IPv4Address(wants).packed)] if wants else []
    options += [(54, IPv4Address(server).packed)] if server else []
    wishes = b"".join(option(code, IPv4Address(of).packed) for code, of in ((5, link), (11, override)) if of)
    options += [(82, wishes)] if wishes else []
    return message(kind, mac, options, ciaddr=ciaddr, giaddr=giaddr)


class Wire:
    """`>>` hands a datagram to the rules at `now`; `<<` compares what they decide. Offers are probed at once."""

    def __init__(self, *subnets: Subnet, leases: list[Lease] | None = None) -> None:
        self.leasing = Leasing(subnets or (LAN, REMOTE), [BOX], leases or [])
        self.now = 1000.0
        self.decision: Decision | None = None
        self._saved = {lease.address: lease for lease in leases or []}

    def __rshift__(self, datagram: bytes) -> Self:
        received = packet.decode(datagram)
        assert not isinstance(received, Ignore)
        self.decision = self.leasing.decide(received, BOX, self.now)
        if isinstance(self.decision, LeaseOffer):
            self.leasing.found_free(received.mac, self.decision.address)
        return self

    def __lshift__(self, expected: str) -> Self:
        assert self.decision is not None
        assert words(self.decision) == expected
        return self

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds

    def lease(self, mac: bytes, address: str, giaddr: str = NOWHERE) -> None:
        """Have a client lease this address, by DISCOVER and REQUEST."""
        self >> says(DISCOVER, mac, wants=address, giaddr=giaddr)
        self >> says(REQUEST, mac, wants=address, server=str(BOX), giaddr=giaddr)
        assert isinstance(self.decision, LeaseGrant)
        assert str(self.decision.lease.address) == address

    def saved(self) -> list[Lease]:
        """Save what changed, as the server does; returns all leases saved so far."""
        self._saved.update((lease.address, lease) for lease in self.leasing.changes())
        return list(self._saved.values())

    def restart(self) -> None:
        """Start again with the leases that were saved."""
        self.leasing = Leasing(self.leasing.subnets, [BOX], self.saved())


def words(decision: Decision) -> str:
    """A decision as a line."""
    match decision:
        case LeaseOffer(address, _, probe):
            return f"OFFER {address}{' after a probe' if probe else ''}"
        case LeaseGrant(lease, _, new):
            return f"ACK {lease.address}{'' if new else ', renewed'}"
        case Nak():
            return "NAK"
        case Information():
            return "ACK without a lease"
        case Recorded(lease):
            return f"{lease.state} {lease.address}"
        case Declined(address):
            return f"declined {address}"
        case Ignore(reason):
            return f"silence: {reason.name}"
