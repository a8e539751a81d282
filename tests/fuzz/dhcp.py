"""A DHCP datagram through decoding, decision and encoding. The first two bytes say where it arrived, and the profile.

Must hold of the boot server: no exception; an answer is a strict one, gives no address away, goes to the asker, its
relay or everybody, and fits into one frame; what leaves by its fast ways (copies of a request known from memory,
templates) is what the plain way says, and to strangers nothing. Of the DHCP server, whose leases last from input to
input: the same, but that what it gives away is of its pool and nobody else's, and that it remembers no more than its
pool has addresses.
"""

from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from ipaddress import IPv4Address, IPv4Network
from types import TracebackType
from typing import Any, Self, cast

from structlog.testing import capture_logs

from services.decision import Ignore
from services.dhcp import packet, proxy
from services.dhcp.lease import Information, LeaseGrant, Offer, Refusal, State
from services.dhcp.lease_reply import reply as lease_reply
from services.dhcp.leasing import Leasing
from services.dhcp.message import Arrival, Peer, Reply
from services.dhcp.plan import BootPlan, Profile
from services.dhcp.pool import AddressRange, Subnet
from services.dhcp.server import ProxyDhcp
from tests.captures import all_captures, datagrams
from tests.fakes.dhcp_client import Answer, message
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
_BETWEEN = 1.0  # seconds from one input to the next, for leases
_SOON = 0.25  # the same for the boot server, which knows a copy for a second
_STRANGER = 0x80  # in the first byte: nobody may boot
LONGEST_ANSWER = 1500 - 28
"""What one Ethernet frame holds, less the headers of IP and UDP: boot firmware does not put fragments together."""


def seeds() -> list[bytes]:
    """The captured requests, as if each had arrived at either port; and what DHCP clients say to their server."""
    asked = [each.payload for name in all_captures() for each in datagrams(name, 67, 4011) if each.payload[0] == 1]
    found = [bytes([at, profile]) + payload for payload in asked for at in (0, 2) for profile in range(len(PROFILES))]
    wanted = [(50, bytes([10, 77, 0, 130])), (61, b"\1PC"), (82, b"\1\4port")]
    for kind in (1, 3, 4, 7, 8):
        for options in (wanted, [*wanted, (54, BOX.packed)]):
            found.append(b"\0\0" + message(kind, MAC, options))
            found.append(b"\1\0" + message(kind, MAC, options, giaddr="10.78.0.1", ciaddr="10.78.0.130"))
    return found


class Wire:
    """In the place of a socket: what was sent, and where to."""

    def __init__(self) -> None:
        self.sent: Counter[tuple[bytes, Peer]] = Counter()

    def send(self, datagram: bytes, destination: Peer) -> None:
        """Take a datagram."""
        self.sent[datagram, destination] += 1

    def send_all(self, answers: Iterable[tuple[bytes, Peer]]) -> None:
        """Take several."""
        self.sent.update(answers)


class Target:
    """Both servers; the clock of the leases goes on by a second with each input."""

    def __enter__(self) -> Self:
        self._leasing = Leasing(SUBNETS, [BOX])
        self._now = 1000.0
        self._monotonic = 0.0
        self._may, self._profile = True, Profile.STANDARD
        self._server = ProxyDhcp(
            "lan0",
            BOX,
            allowed=lambda _: self._may,
            plan=lambda request: plan(request, self._profile),
            emit=lambda _: None,
            basis=lambda: (self._may, self._profile),
            clock=lambda: self._monotonic,
        )
        self._open = ExitStack()
        self._log = self._open.enter_context(capture_logs())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._open.close()

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
        """Hand a datagram to the boot server, with a copy of another xid and one that is the same."""
        self._monotonic += _SOON
        hear(datagram, arrival, self._profile)
        again = datagram[:4] + bytes(each ^ 0x55 for each in datagram[4:8]) + datagram[8:]
        replies = [answer_to(each, arrival, self._profile) for each in (datagram, again, datagram)]
        if any(reply.delay for reply in replies if reply):
            return  # waits in an event loop
        wire, peer = Wire(), (str(arrival.source), arrival.source_port)
        self._server.hear(cast(Any, wire), arrival.port, [(each, peer) for each in (datagram, again, datagram)])
        wanted = [(packet.encode(each), (str(each.destination), each.destination_port)) for each in replies if each]
        assert wire.sent == Counter(wanted if self._may else [])
        assert not [line for line in self._log if line["log_level"] in ("warning", "error")], self._log
        self._log.clear()

    def lease(self, datagram: bytes) -> None:
        """Hand a datagram to the DHCP server, where it finds nobody at the addresses that it probes."""
        read = packet.decode(datagram)
        if isinstance(read, Ignore):
            return
        before = {lease.address: lease for lease in self._leasing.leases()}
        decision = self._leasing.decide(read, BOX, self._now)
        if isinstance(decision, Offer | LeaseGrant):
            address = decision.address if isinstance(decision, Offer) else decision.lease.address
            last = before.get(address)
            assert address in _POOL
            assert last is None or last.mac == read.mac or last.state is State.RELEASED or last.expires <= self._now
            self._leasing.found_free(read.mac, address)
        if isinstance(decision, Offer | LeaseGrant | Information | Refusal):
            encoded = packet.encode(lease_reply(read, decision, BOX))
            answer = Answer.parse(encoded)
            assert (answer.mac, answer.op) == (datagram[28:34], 2)
            assert len(encoded) <= LONGEST_ANSWER
        self._leasing.changes()
        assert len(self._leasing.leases()) <= len(_POOL)
        assert len(self._leasing._offers) <= len(_POOL)
        assert len(self._leasing._latest) <= len(_POOL)


def answer_to(datagram: bytes, arrival: Arrival, profile: Profile) -> Reply | None:
    """What the box answers to a datagram, by the plain way, if anything."""
    read = packet.decode(datagram)
    if isinstance(read, Ignore):
        return None
    request = proxy.classify(read, arrival)
    planned = request if isinstance(request, Ignore) else plan(request)
    if isinstance(planned, Ignore):
        return None
    reply = proxy.respond(read, BootPlan(planned.boot_file, profile), BOX, arrival)
    return None if isinstance(reply, Ignore) else reply


def hear(datagram: bytes, arrival: Arrival, profile: Profile) -> Answer | None:
    """What the box answers to a datagram, if anything, after it was checked."""
    packet.looks_like_boot(datagram, arrival.port)
    peeked, read = packet.peek(datagram), packet.decode(datagram)
    if isinstance(peeked, Ignore):
        assert read == peeked
        return None
    if isinstance(read, Ignore):
        return None
    assert read.mac == peeked
    used = proxy.address_used(read, arrival)
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
    assert not {1, 3, 6, 51, 58, 59} & answer.options.keys(), "the options of a lease"
    assert answer.options[54] == BOX.packed
    assert str(reply.destination) in (EVERYONE, str(arrival.source), answer.giaddr)
    assert len(encoded) <= LONGEST_ANSWER
    return answer
