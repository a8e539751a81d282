"""Whatever clients send in whatever order, no two of them have one address: the first duty of a server in RFC 2131."""

from ipaddress import IPv4Address

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from services.decision import Ignore
from services.dhcp import packet
from services.dhcp.lease import Decision, Lease, LeaseGrant, LeaseOffer, Nak, State
from services.dhcp.leasing import OFFER_SECONDS, Leasing
from services.ethernet import MacAddress
from tests.fakes.dhcp_client import NOWHERE
from tests.unit.services.dhcp.lease_wire import (
    BOX,
    DECLINE,
    DISCOVER,
    INFORM,
    LAN,
    RELAY,
    RELEASE,
    REMOTE,
    REQUEST,
    STATIC,
    A,
    B,
    C,
    says,
)

CLIENTS = st.sampled_from([A, B, C, STATIC, bytes.fromhex("525400990001"), bytes.fromhex("525400990002")])
ADDRESSES = st.sampled_from(
    ["", "0.0.0.0", "10.77.0.1", "10.77.0.2", "10.77.0.50", "10.77.0.100", "10.77.0.101", "10.77.0.102",
     "10.88.0.1", "10.88.0.100", "10.88.0.101", "192.168.1.7"]
)  # fmt: skip
SERVERS = st.sampled_from(["", "10.77.0.1", "10.77.0.2", RELAY])
GIADDRS = st.sampled_from([NOWHERE, NOWHERE, RELAY, "10.99.0.1"])
LINKS = st.sampled_from(["", "", "10.88.0.0", "10.77.0.9", "10.99.0.1"])
OVERRIDES = st.sampled_from(["", RELAY])
KINDS = st.sampled_from([DISCOVER, REQUEST, DECLINE, RELEASE, INFORM, 9])
POOLS = {*LAN.dynamic, *REMOTE.dynamic}


class Room(RuleBasedStateMachine):
    """Clients that do as they are told: `has` is who uses which address, and until when."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.leasing = Leasing((LAN, REMOTE), [BOX])
        self.written: dict[IPv4Address, Lease] = {}
        self.has: dict[IPv4Address, tuple[bytes, float]] = {}
        self.offered: dict[bytes, tuple[IPv4Address, str]] = {}
        self.held: dict[bytes, tuple[IPv4Address, float]] = {}

    def _say(self, mac: bytes, datagram: bytes) -> Decision:
        received = packet.decode(datagram)
        assert not isinstance(received, Ignore)
        decision = self.leasing.decide(received, BOX, self.now)
        for lease in self.leasing.changes():
            self.written[lease.address] = lease
        if received.message_type in (REQUEST, DECLINE):
            self.held.pop(mac, None)
        match decision:
            case LeaseOffer(address):
                self._check(mac, address)
                self.leasing.found_free(received.mac, address)
                self.offered[mac] = (address, str(received.giaddr))
                self.held[mac] = (address, self.now + OFFER_SECONDS)
            case LeaseGrant(lease, subnet):
                self._check(mac, lease.address)
                assert lease.mac == MacAddress.from_bytes(mac)
                for address in [a for a, (user, _) in self.has.items() if user == mac and a in subnet.network]:
                    del self.has[address]
                self.has[lease.address] = (mac, self.now + subnet.lease_seconds)
            case Nak() if received.ciaddr in self.has and self.has[received.ciaddr][0] == mac:
                del self.has[received.ciaddr]
        return decision

    def _check(self, mac: bytes, address: IPv4Address) -> None:
        """Nobody else uses the address or was offered it, and it is in the pool or is the client's static one."""
        user, until = self.has.get(address, (mac, 0.0))
        assert user == mac or until <= self.now, f"{address} is in use"
        others = [held for other, held in self.held.items() if other != mac]
        assert not any(each == address and end > self.now for each, end in others), f"{address} is offered"
        if address not in POOLS:
            assert LAN.static[MacAddress.from_bytes(mac)] == address

    @rule(mac=CLIENTS, wants=ADDRESSES, giaddr=GIADDRS, link=LINKS)
    def discover(self, mac: bytes, wants: str, giaddr: str, link: str) -> None:
        self._say(mac, says(DISCOVER, mac, wants=wants, giaddr=giaddr, link=link))

    @precondition(lambda self: self.offered)
    @rule(data=st.data())
    def take_the_offer(self, data: st.DataObject) -> None:
        mac = data.draw(st.sampled_from(sorted(self.offered)))
        address, giaddr = self.offered.pop(mac)
        self._say(mac, says(REQUEST, mac, wants=str(address), server=str(BOX), giaddr=giaddr))

    @precondition(lambda self: self.has)
    @rule(data=st.data(), kind=st.sampled_from([REQUEST, RELEASE]))
    def renew_or_release(self, data: st.DataObject, kind: int) -> None:
        address = data.draw(st.sampled_from(sorted(self.has)))
        mac, until = self.has[address]
        if until <= self.now or kind == RELEASE:
            del self.has[address]
        self._say(mac, says(kind, mac, ciaddr=str(address)))

    @rule(
        kind=KINDS, mac=CLIENTS, wants=ADDRESSES, server=SERVERS, ciaddr=ADDRESSES, giaddr=GIADDRS, link=LINKS,
        override=OVERRIDES,
    )  # fmt: skip
    def say_anything(
        self, kind: int, mac: bytes, wants: str, server: str, ciaddr: str, giaddr: str, link: str, override: str
    ) -> None:
        said = {"ciaddr": ciaddr or NOWHERE, "giaddr": giaddr, "link": link, "override": override}
        datagram = says(kind, mac, wants=wants, server=server, **said)
        if kind in (RELEASE, DECLINE):  # given back by its client, or by another one with the same MAC address
            given = IPv4Address(ciaddr or NOWHERE) if kind == RELEASE else IPv4Address(wants or NOWHERE)
            if self.has.get(given, (b"", 0.0))[0] == mac:
                del self.has[given]
        self._say(mac, datagram)

    @rule(seconds=st.sampled_from([1, 15, 130, 700, 1100]))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @rule()
    def restart(self) -> None:
        self.leasing = Leasing((LAN, REMOTE), [BOX], self.written.values())
        self.held.clear()

    @invariant()
    def the_leases_that_clients_have_are_written_down(self) -> None:
        for address, (mac, until) in self.has.items():
            if until > self.now:
                lease = self.written[address]
                assert (lease.mac, lease.state) == (MacAddress.from_bytes(mac), State.LEASED)
                assert lease.expires >= until


Room.TestCase.settings = settings(max_examples=30, stateful_step_count=40, deadline=None)
TestNoAddressHasTwoClients = Room.TestCase
