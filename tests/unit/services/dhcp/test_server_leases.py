"""The DHCP sockets with leases behind them: what a datagram to port 67 brings forth, and what is said about it."""

from collections.abc import Callable, Sequence
from ipaddress import IPv4Address
from typing import cast

import pytest

from services.decision import Reason
from services.dhcp.lease_server import LeaseServer
from services.dhcp.leasing import Leasing
from services.dhcp.message import Peer
from services.dhcp.plan import BootPlan
from services.dhcp.pool import Subnet
from services.dhcp.server import ProxyDhcp
from services.dhcp.udp_port import UdpPort
from services.ethernet import MacAddress
from services.events import AddressSeen, Discovered, Event, Ignored, Offered
from services.linux.neighbours import Neighbours
from tests.fakes.dhcp_client import DISCOVER, NOWHERE, REQUEST, Answer, firmware, message
from tests.unit.services.dhcp.lease_wire import BOX, LAN, REMOTE, A, B

ALLOWED, STRANGER = A, B
FIRST = IPv4Address("10.77.0.100")


class Desk:
    """A server on one interface, whose socket only takes down what is sent."""

    def __init__(self, *subnets: Subnet, serves_strangers: bool = True) -> None:
        self.sent: list[tuple[Answer, tuple[str, int]]] = []
        self.events: list[Event] = []
        self.committed: list[int] = []
        allowed = MacAddress.from_bytes(ALLOWED)
        # No interface: every client is behind a router, so that nothing is probed, and answers come at once.
        self.leases = LeaseServer(
            Leasing(subnets, [BOX]),
            Neighbours([]),
            serves=lambda mac: serves_strangers or mac == allowed,
            save=lambda _: None,
            given=lambda *_: None,
            emit=self.events.append,
            clock=lambda: 1000.0,
        )
        self.box = ProxyDhcp(
            "lan0",
            BOX,
            allowed=lambda value: value == allowed.value,
            plan=lambda request: BootPlan("script" if request.ipxe else "loader"),
            emit=self.events.append,
            commit=lambda: self.committed.append(len(self.said(Discovered))),
            leases=self.leases,
        )

    def send(self, datagram: bytes, destination: Peer) -> None:
        """In the place of a socket."""
        self.sent.append((Answer.parse(datagram), destination))

    def send_all(self, answers: Sequence[tuple[bytes, Peer]]) -> None:
        """The same."""
        for answer in answers:
            self.send(*answer)

    def hear(self, datagram: bytes) -> list[Answer]:
        """Hand in a client's broadcast; the answers."""
        self.box.hear(cast(UdpPort, self), 67, [(datagram, (NOWHERE, 68))])
        self.leases.close()  # what waits for its commit leaves now
        answers = [answer for answer, _ in self.sent]
        self.sent.clear()
        return answers

    def said(self, *kinds: type[Event]) -> list[Event]:
        """The events of these kinds."""
        return [event for event in self.events if isinstance(event, kinds)]


Taken = Callable[..., bytes]


@pytest.fixture
def request_of() -> Taken:
    """A REQUEST for the first address, with these options, to this server."""

    def made(mac: bytes, *options: tuple[int, bytes], server: IPv4Address = BOX) -> bytes:
        return message(REQUEST, mac, [*options, (50, FIRST.packed), (54, server.packed)])

    return made


async def test_a_pc_that_boots_has_its_lease_and_its_boot_file_in_one(request_of: Taken) -> None:
    wire = Desk(LAN)
    (offer,) = wire.hear(message(DISCOVER, ALLOWED, firmware(0)))
    (ack,) = wire.hear(request_of(ALLOWED, *firmware(0)))
    assert [(each.kind, each.yiaddr, each.file, each.siaddr) for each in (offer, ack)] == [
        ("OFFER", "10.77.0.100", "loader", "10.77.0.1"),
        ("ACK", "10.77.0.100", "loader", "10.77.0.1"),
    ]
    assert wire.committed[0] == 1, "its boot was written down before its offer left"
    mac = MacAddress.from_bytes(ALLOWED)
    assert wire.said(Offered) == [Offered(mac, "loader", 67)]
    assert wire.said(AddressSeen) == [AddressSeen(mac, FIRST)]
    assert len(wire.said(Discovered)) == 1


async def test_its_operating_system_gets_the_lease_alone() -> None:
    (offer,) = Desk(LAN).hear(message(DISCOVER, ALLOWED))
    assert (offer.yiaddr, offer.file, offer.siaddr) == ("10.77.0.100", "", NOWHERE)


async def test_a_stranger_gets_an_address_and_never_a_boot_file(request_of: Taken) -> None:
    wire = Desk(LAN)
    for answer in (
        *wire.hear(message(DISCOVER, STRANGER, firmware(7))),
        *wire.hear(request_of(STRANGER, *firmware(7))),
    ):
        assert (answer.yiaddr, answer.file, answer.siaddr) == ("10.77.0.100", "", NOWHERE)
        assert not {43, 60, 66, 67} & answer.options.keys()
    refused = Ignored("dhcp", str(MacAddress.from_bytes(STRANGER)), Reason.NOT_ALLOWED)
    assert set(map(str, wire.events)) == {str(refused)}


async def test_a_stranger_gets_nothing_where_that_is_configured() -> None:
    wire = Desk(LAN, serves_strangers=False)
    assert wire.hear(message(DISCOVER, STRANGER)) == []
    assert wire.hear(message(DISCOVER, ALLOWED)) != []


async def test_a_pc_that_takes_the_lease_of_another_server_is_still_seen(request_of: Taken) -> None:
    wire = Desk(LAN)
    wire.hear(message(DISCOVER, ALLOWED, firmware(7)))
    assert wire.hear(request_of(ALLOWED, *firmware(7), server=IPv4Address("10.77.0.2"))) == []
    assert wire.said(AddressSeen) == [AddressSeen(MacAddress.from_bytes(ALLOWED), FIRST)]


async def test_in_a_network_without_a_pool_it_is_a_proxy() -> None:
    wire = Desk(REMOTE)
    (offer,) = wire.hear(message(DISCOVER, ALLOWED, firmware(0)))
    assert (offer.kind, offer.yiaddr, offer.file) == ("OFFER", NOWHERE, "loader")
    assert 51 not in offer.options
    assert len(wire.said(Offered)) == 1
    assert wire.hear(message(DISCOVER, STRANGER)) == []
