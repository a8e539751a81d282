"""A DHCP datagram through decoding, decision and encoding. The first two bytes say where it arrived, and the profile.

What must hold for the boot server: it raises nothing; an answer is well-formed, gives no address away, goes to the
client, its relay or everybody, and fits into one frame; the fast paths (answers from memory to copies of a request,
templates) send what the plain path would send; strangers get nothing. For the DHCP server, whose leases last from input
to input: the same, except that an address it gives away comes from its pool and belongs to nobody else; and it
remembers no more than its pool has addresses.
"""

import logging
from collections import Counter
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network
from types import TracebackType
from typing import Any, Self, cast

from services.decision import Ignore
from services.dhcp import packet, pxe_rules
from services.dhcp.lease import Information, Lease, LeaseGrant, LeaseOffer, Nak, State
from services.dhcp.lease_reply import reply as lease_reply
from services.dhcp.leasing import Leasing
from services.dhcp.message import Arrival, Peer, Reply
from services.dhcp.plan import BootPlan, Profile
from services.dhcp.pool import AddressRange, Subnet
from services.dhcp.server import DhcpServer
from tests.captures import all_captures, datagrams
from tests.fakes.dhcp_client import Answer, message
from tests.fakes.pxe_answers import respond
from tests.fuzz.faults import Faults
from tests.transcripts.wire import BOX, EVERYONE, plan

SOURCE = IPv4Address("10.77.0.134")
ARRIVALS = [Arrival(SOURCE, 68, 67), Arrival(SOURCE, 67, 67), Arrival(SOURCE, 4011, 4011), Arrival(SOURCE, 1024, 67)]
MAC = bytes.fromhex("525400aabb01")
PROFILES = tuple(Profile)
SUBNETS = (
    Subnet(IPv4Network("10.77.0.0/24"), (AddressRange.parse("10.77.0.130-10.77.0.139"),), lease_seconds=600),
    Subnet(IPv4Network("10.78.0.0/24"), (AddressRange.parse("10.78.0.130-10.78.0.131"),), lease_seconds=600),
)
_POOL = {address for subnet in SUBNETS for address in subnet.dynamic}
_BETWEEN = 1.0  # seconds from one input to the next, by the clock of the leases
_SOON = 0.25  # the same by the clock of the boot server, which remembers a request for a second
_STRANGER = 0x80  # this bit of the first byte: nobody may boot
LONGEST_ANSWER = 1500 - 28
"""One Ethernet frame without the headers of IP and UDP: boot firmware does not reassemble fragments."""


def seeds() -> list[bytes]:
    """The captured requests, as if each had arrived at either port, and messages of DHCP clients to their server."""
    asked = [each.payload for name in all_captures() for each in datagrams(name, 67, 4011) if each.payload[0] == 1]
    found = [bytes([at, profile]) + payload for payload in asked for at in (0, 2) for profile in range(len(PROFILES))]
    wanted = [(50, bytes([10, 77, 0, 130])), (61, b"\1PC"), (82, b"\1\4port")]
    for kind in (1, 3, 4, 7, 8):
        for options in (wanted, [*wanted, (54, BOX.packed)]):
            found.append(b"\0\0" + message(kind, MAC, options))
            found.append(b"\1\0" + message(kind, MAC, options, giaddr="10.78.0.1", ciaddr="10.78.0.130"))
            wishes = (82, b"\5\4" + bytes([10, 78, 0, 0]) + b"\x0b\4" + bytes([10, 78, 0, 1]))
            relayed = [*wanted[:-1], (54, bytes([10, 78, 0, 1])), wishes]
            found.append(b"\1\0" + message(kind, MAC, relayed, giaddr="10.77.0.1"))
    return found


class FakePort:
    """In place of a UdpPort: what was sent, and where to."""

    def __init__(self) -> None:
        self.sent: Counter[tuple[bytes, Peer]] = Counter()

    def send(self, datagram: bytes, destination: Peer) -> None:
        """Record a datagram."""
        self.sent[datagram, destination] += 1

    def send_all(self, answers: Iterable[tuple[bytes, Peer]]) -> dict[int, str]:
        """Record several."""
        self.sent.update(answers)
        return {}


class Target:
    """Both servers; each input moves their clocks."""

    def __enter__(self) -> Self:
        self._leasing = Leasing(SUBNETS, [BOX])
        self._saved: dict[IPv4Address, Lease] = {}
        self._now = 1000.0
        self._monotonic = 0.0
        self._may, self._profile = True, Profile.STANDARD
        self._server = DhcpServer(
            "lan0",
            BOX,
            allowed=lambda _: self._may,
            plan=lambda request: plan(request, self._profile),
            emit=lambda _: None,
            basis=lambda: (self._may, self._profile),
            clock=lambda: self._monotonic,
        )
        self._faults = Faults("services.dhcp", logging.WARNING)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._faults.close()

    def __call__(self, data: bytes) -> None:
        """Play one input."""
        if len(data) >= 2:
            datagram, arrival = data[2:], ARRIVALS[data[0] % len(ARRIVALS)]
            self._may, self._profile = data[0] < _STRANGER, PROFILES[data[1] % len(PROFILES)]
            self.hear(datagram, arrival)
            if arrival.port == 67:
                self._now += _BETWEEN
                self.lease(datagram)

    def hear(self, datagram: bytes, arrival: Arrival) -> None:
        """Hand a datagram to the boot server, with a copy that has another xid and one that is identical."""
        self._monotonic += _SOON
        hear(datagram, arrival, self._profile)
        again = datagram[:4] + bytes(each ^ 0x55 for each in datagram[4:8]) + datagram[8:]
        replies = [answer_to(each, arrival, self._profile) for each in (datagram, again, datagram)]
        if any(reply.delay for reply in replies if reply):
            return  # a delayed answer needs an event loop
        port, peer = FakePort(), (str(arrival.source), arrival.source_port)
        self._server.handle(cast(Any, port), arrival.port, [(each, peer) for each in (datagram, again, datagram)])
        wanted = [(packet.encode(each), (str(each.destination), each.destination_port)) for each in replies if each]
        assert port.sent == Counter(wanted if self._may else [])
        self._faults.check()

    def lease(self, datagram: bytes) -> None:
        """Hand a datagram to the DHCP server, which finds nobody at the addresses that it probes."""
        read = packet.decode(datagram)
        if isinstance(read, Ignore):
            return
        decision = self._leasing.decide(read, BOX, self._now)
        if isinstance(decision, LeaseOffer | LeaseGrant):
            address = decision.address if isinstance(decision, LeaseOffer) else decision.lease.address
            last = self._saved.get(address)
            assert address in _POOL
            assert last is None or last.mac == read.mac or last.state is State.RELEASED or last.expires <= self._now
            self._leasing.found_free(read.mac, address)
        if isinstance(decision, LeaseOffer | LeaseGrant | Information | Nak):
            encoded = packet.encode(lease_reply(read, decision, BOX))
            answer = Answer.parse(encoded)
            assert (answer.mac, answer.op) == (datagram[28:34], 2)
            assert len(encoded) <= LONGEST_ANSWER
        self._saved.update((lease.address, lease) for lease in self._leasing.changes())
        assert len(self._leasing._leases) <= len(_POOL)
        assert len(self._leasing._offers) <= len(_POOL)
        assert len(self._leasing._latest) <= len(_POOL)


def answer_to(datagram: bytes, arrival: Arrival, profile: Profile) -> Reply | None:
    """The box's answer to a datagram by the plain path, if there is one."""
    read = packet.decode(datagram)
    if isinstance(read, Ignore):
        return None
    request = pxe_rules.classify(read, arrival)
    planned = request if isinstance(request, Ignore) else plan(request)
    if isinstance(planned, Ignore):
        return None
    reply = respond(read, BootPlan(planned.boot_file, profile), BOX, arrival)
    return None if isinstance(reply, Ignore) else reply


def hear(datagram: bytes, arrival: Arrival, profile: Profile) -> Answer | None:
    """The box's answer to a datagram, if there is one, after checking it."""
    packet.looks_like_boot(datagram, arrival.port)
    peeked, read = packet.peek(datagram), packet.decode(datagram)
    if isinstance(peeked, Ignore):
        assert read == peeked
        return None
    if isinstance(read, Ignore):
        return None
    assert read.mac == peeked
    used = pxe_rules.address_used(read, arrival)
    assert isinstance(used, Ignore) or not (used.is_multicast or used.is_loopback or used.is_unspecified)
    reply = answer_to(datagram, arrival, profile)
    if reply is None:
        return None
    encoded = packet.encode(reply)
    answer = Answer.parse(encoded)
    assert answer.op == 2
    assert answer.mac == datagram[28:34] == bytes(read.mac)
    assert answer.xid.to_bytes(4, "big") == datagram[4:8]
    assert answer.yiaddr == "0.0.0.0"
    assert not {1, 3, 6, 51, 58, 59} & answer.options.keys(), "it has options of a lease"
    named = None if arrival.port == 4011 else read.server_override
    assert answer.options[54] == (named or BOX).packed
    assert str(reply.destination) in (EVERYONE, str(arrival.source), answer.giaddr)
    assert len(encoded) <= LONGEST_ANSWER
    return answer
