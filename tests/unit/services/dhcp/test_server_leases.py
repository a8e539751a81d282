"""The DHCP server with leases, without sockets: the answers and the events that a datagram to port 67 causes."""

from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv4Network
from typing import cast

import pytest

from services.decision import Reason
from services.dhcp.lease_server import LeaseServer
from services.dhcp.leasing import Leasing
from services.dhcp.message import Peer
from services.dhcp.plan import BootPlan
from services.dhcp.pool import Subnet
from services.dhcp.server import DhcpServer
from services.dhcp.udp_port import UdpPort
from services.ethernet import MacAddress
from services.events import AddressSeen, Discovered, Event, Ignored, Offered
from services.linux.neighbours import Neighbours
from tests.fakes.dhcp_client import DISCOVER, INFORM, NOWHERE, REQUEST, Answer, firmware, message
from tests.unit.services.dhcp.lease_wire import BOX, LAN, RELAY, REMOTE, A, B, says

ALLOWED, STRANGER = A, B
RELAYS = IPv4Network("10.99.0.0/24")
FIRST = IPv4Address("10.77.0.100")


class LeasingBox:
    """A server on one interface that leases addresses, and a log of its answers and events."""

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
        self.server = DhcpServer(
            "lan0",
            BOX,
            serves=lambda address: any(address in network for network in (LAN.network, REMOTE.network, RELAYS)),
            allowed=lambda value: value == allowed.value,
            plan=lambda request: BootPlan("script" if request.ipxe else "loader"),
            emit=self.events.append,
            commit=lambda: self.committed.append(len(self.reported(Discovered))),
            leases=self.leases,
        )

    def send(self, datagram: bytes, destination: Peer) -> None:
        """As a UdpPort does."""
        self.sent.append((Answer.parse(datagram), destination))

    def send_all(self, answers: Sequence[tuple[bytes, Peer]]) -> dict[int, str]:
        """As a UdpPort does."""
        for answer in answers:
            self.send(*answer)
        return {}

    def hear(self, datagram: bytes) -> list[Answer]:
        """Pass in a client's broadcast, and return the answers."""
        self.server.handle(cast(UdpPort, self), 67, [(datagram, (NOWHERE, 68))])
        self.leases.close()  # answers that wait for a commit leave now
        answers = [answer for answer, _ in self.sent]
        self.sent.clear()
        return answers

    def reported(self, *kinds: type[Event]) -> list[Event]:
        """The events of these kinds."""
        return [event for event in self.events if isinstance(event, kinds)]


MakeRequest = Callable[..., bytes]


@pytest.fixture
def request_of() -> MakeRequest:
    """A REQUEST for the first address, with these options, to this server."""

    def made(mac: bytes, *options: tuple[int, bytes], server: IPv4Address = BOX) -> bytes:
        return message(REQUEST, mac, [*options, (50, FIRST.packed), (54, server.packed)])

    return made


async def test_a_pc_that_boots_has_its_lease_and_its_boot_file_in_one(request_of: MakeRequest) -> None:
    box = LeasingBox(LAN)
    (offer,) = box.hear(message(DISCOVER, ALLOWED, firmware(0)))
    (ack,) = box.hear(request_of(ALLOWED, *firmware(0)))
    assert [(each.kind, each.yiaddr, each.file, each.siaddr) for each in (offer, ack)] == [
        ("OFFER", "10.77.0.100", "loader", "10.77.0.1"),
        ("ACK", "10.77.0.100", "loader", "10.77.0.1"),
    ]
    assert box.committed[0] == 1, "its boot was saved before its offer left"
    mac = MacAddress.from_bytes(ALLOWED)
    assert box.reported(Offered) == [Offered(mac, "loader", 67)]
    assert box.reported(AddressSeen) == [AddressSeen(mac, FIRST)]
    assert len(box.reported(Discovered)) == 1


async def test_its_operating_system_gets_only_the_lease() -> None:
    (offer,) = LeasingBox(LAN).hear(message(DISCOVER, ALLOWED))
    assert (offer.yiaddr, offer.file, offer.siaddr) == ("10.77.0.100", "", NOWHERE)


async def test_a_stranger_gets_an_address_and_never_a_boot_file(request_of: MakeRequest) -> None:
    box = LeasingBox(LAN)
    for answer in (
        *box.hear(message(DISCOVER, STRANGER, firmware(7))),
        *box.hear(request_of(STRANGER, *firmware(7))),
    ):
        assert (answer.yiaddr, answer.file, answer.siaddr) == ("10.77.0.100", "", NOWHERE)
        assert not {43, 60, 66, 67} & answer.options.keys()
    refused = Ignored("dhcp", str(MacAddress.from_bytes(STRANGER)), Reason.NOT_ALLOWED)
    assert set(map(str, box.events)) == {str(refused)}


async def test_a_stranger_gets_nothing_if_so_configured() -> None:
    box = LeasingBox(LAN, serves_strangers=False)
    assert box.hear(message(DISCOVER, STRANGER)) == []
    assert box.hear(message(DISCOVER, ALLOWED)) != []


async def test_a_pc_that_takes_the_lease_of_another_server_is_still_seen(request_of: MakeRequest) -> None:
    box = LeasingBox(LAN)
    box.hear(message(DISCOVER, ALLOWED, firmware(7)))
    assert box.hear(request_of(ALLOWED, *firmware(7), server=IPv4Address("10.77.0.2"))) == []
    assert box.reported(AddressSeen) == [AddressSeen(MacAddress.from_bytes(ALLOWED), FIRST)]


@pytest.mark.parametrize("mac", [ALLOWED, STRANGER])
async def test_a_lease_goes_to_a_relay_in_a_served_network_only(mac: bytes) -> None:
    """Whatever network the relay names (RFC 3527), and whatever server (RFC 5107)."""
    box = LeasingBox(LAN, REMOTE)
    known = {"giaddr": "10.99.0.1", "link": "10.88.0.0", "override": RELAY}
    (offer,) = box.hear(says(DISCOVER, mac, **known))
    (ack,) = box.hear(says(REQUEST, mac, wants=offer.yiaddr, server=RELAY, **known))
    for answer in (offer, ack):
        assert (answer.giaddr, answer.yiaddr) == ("10.99.0.1", "10.88.0.100")
        assert answer.options[54] == IPv4Address(RELAY).packed
    box.events.clear()
    for relay, reason in (("203.0.113.9", Reason.UNKNOWN_RELAY), ("127.0.0.1", Reason.MALFORMED)):
        for kind in (DISCOVER, REQUEST, INFORM):
            asked = says(kind, mac, wants="10.88.0.100", ciaddr="10.88.0.100", giaddr=relay, link="10.88.0.0")
            assert box.hear(asked) == []
        refusals = [event.reason for event in box.events if isinstance(event, Ignored)]
        assert refusals == [reason] * 3
        box.events.clear()


async def test_an_unknown_relay_of_a_pc_that_boots_is_reported_once() -> None:
    box = LeasingBox(LAN)
    assert box.hear(message(DISCOVER, ALLOWED, firmware(0), giaddr="203.0.113.9")) == []
    mac = MacAddress.from_bytes(ALLOWED)
    assert box.events == [Ignored("dhcp", "203.0.113.9", Reason.UNKNOWN_RELAY, f"for {mac}")]


async def test_in_a_network_without_a_pool_the_box_is_a_proxy() -> None:
    box = LeasingBox(REMOTE)
    (offer,) = box.hear(message(DISCOVER, ALLOWED, firmware(0)))
    assert (offer.kind, offer.yiaddr, offer.file) == ("OFFER", NOWHERE, "loader")
    assert 51 not in offer.options
    assert len(box.reported(Offered)) == 1
    assert box.hear(message(DISCOVER, STRANGER)) == []
