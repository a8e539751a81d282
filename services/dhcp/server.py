"""The DHCP sockets of one interface, ports 67 and 4011: receive, decide by boot_answer.py, send, report.

Beside a DHCP server on the same host, which has port 67, only port 4011 is bound (PXE 2.1). Who may boot what is not
decided here: `allowed` and `plan` say so. Addresses are not leased here either: with a LeaseServer, what comes to port
67 is passed to it.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache, partial
from ipaddress import IPv4Address
from operator import is_not
from typing import NamedTuple

from services.decision import Ignore, Reason
from services.dhcp import boot_answer, packet
from services.dhcp.appetite import Appetite
from services.dhcp.delayed_send import DelayedSend
from services.dhcp.duplicates import Duplicates
from services.dhcp.lease_reply import NO_BOOT, BootFields
from services.dhcp.lease_server import LeaseServer, Question
from services.dhcp.message import (
    BOOT_SERVER_PORT,
    EVERYONE,
    NOWHERE,
    SERVER_PORT,
    Arrival,
    Message,
    MessageType,
    Peer,
    Reply,
)
from services.dhcp.offer_batch import OfferBatch
from services.dhcp.plan import BootPlan
from services.dhcp.pxe_rules import BootRequest
from services.dhcp.reply_templates import ReplyTemplates
from services.dhcp.udp_port import MOST, UdpPort, open_port
from services.dhcp.waiting_room import AGAIN_WITHIN, WaitingRoom
from services.ethernet import MacAddress
from services.events import Event, Ignored
from services.linux.sockets import BindError
from services.recent_names import RecentNames

_EVERYONE = str(EVERYONE)
_REPEATS = 64
"""Answers to duplicates that are sent together."""

_LONGEST_TURN = 0.01
"""Seconds that a batch may take. After a longer one fewer datagrams are taken next time: the other services have their
turn in between."""

_FEWEST = 32
"""Datagrams that are taken in any case."""

_DROPS_REPORTED_EVERY = 60.0
"""Seconds between two log lines about requests that nobody had time for."""

_Offer = tuple[Reply, tuple[Event, ...]]  # and the events to report once it has left

log = logging.getLogger(__name__)


class _Received(NamedTuple):
    """A message, the datagram it was read from, where that came from and when."""

    udp: UdpPort
    datagram: bytes
    peer: Peer
    message: Message
    arrival: Arrival
    at: float


class _Leaving(NamedTuple):
    """An offer to the client of a request, and the events to report once it has left."""

    received: _Received
    reply: Reply
    events: tuple[Event, ...]


class DhcpServer:
    """Answers network boot requests that arrive by `interface`, as the server `address`.

    The callables run in the event loop: `allowed` says of each datagram whether its MAC address, as a number, may boot
    at all, and `knows` whether it has ever booted; those who have not are handled last. For those that are not
    duplicates, `plan` says what they boot, `emit` takes the events, and `commit` runs before the offers of a batch
    leave; `no_router` tells an iPXE that got its offer that there is no IPv6 router. `basis` returns the objects on
    which answers depend: once one of them is another object, no earlier answer is repeated. `serves`: whether an answer
    may go to a relay or a client at this address. An exception ends only the datagram that raised it. Without
    `broadcasts` port 67 is left to another server. With `leases` clients get addresses too. `clock` gives monotonic
    seconds.
    """

    def __init__(
        self,
        interface: str,
        address: IPv4Address,
        *,
        allowed: Callable[[int], bool],
        knows: Callable[[int], bool] = lambda _: True,
        plan: Callable[[BootRequest], BootPlan | Ignore],
        emit: Callable[[Event], None],
        commit: Callable[[], None] = lambda: None,
        no_router: Callable[[MacAddress], None] = lambda _: None,
        basis: Callable[[], tuple[object, ...]] = tuple,
        serves: Callable[[IPv4Address], bool] = lambda _: True,
        broadcasts: bool = True,
        leases: LeaseServer | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._leases = leases
        self._broadcasts = broadcasts
        self._interface = interface
        self._address = address
        self._allowed = allowed
        self._knows = knows
        self._plan = plan
        self._emit = emit
        self._no_router = no_router
        self._basis = basis
        self._serves = serves
        self._last_basis = basis()
        self._clock = clock
        self._open: list[UdpPort] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._delayed = DelayedSend()
        self._templates = ReplyTemplates()
        self._duplicates = {SERVER_PORT: Duplicates(), BOOT_SERVER_PORT: Duplicates()}
        self._offers = OfferBatch[_Leaving](commit, self._send_offers, self._log_failure)
        self._appetite = Appetite()
        self._most = MOST
        heard = RecentNames[bytes](AGAIN_WITHIN, secrets.token_bytes(16))
        self._waiting = {
            SERVER_PORT: WaitingRoom[tuple[bytes, Peer]](heard),
            # What asks here was answered on port 67.
            BOOT_SERVER_PORT: WaitingRoom[tuple[bytes, Peer]](heard, again_after=0.0),
        }
        self._turns: dict[int, asyncio.Handle] = {}
        self._drops_reported_at = 0.0

    def open(self) -> None:
        """Bind the ports and serve in the running event loop; raises BindError, and then no port is bound."""
        self._loop = asyncio.get_running_loop()
        try:
            # Port 67 gets broadcasts only on the wildcard address. Port 4011 must not be bound to it: what is sent to
            # that port of any address but our own was meant for another boot server.
            if self._broadcasts:
                self._listen(NOWHERE, SERVER_PORT)
            self._listen(self._address, BOOT_SERVER_PORT)
        except BindError:
            self.close()
            raise

    def close(self) -> None:
        """Stop answering and free the ports. May be called twice."""
        self._delayed.cancel()
        for turn in self._turns.values():
            turn.cancel()
        while self._open:
            udp = self._open.pop()
            if self._loop is not None:
                self._loop.remove_reader(udp)
            udp.close()

    def _listen(self, address: IPv4Address, port: int) -> None:
        assert self._loop is not None
        udp = open_port(self._interface, address, port, self._address)
        self._open.append(udp)
        self._loop.add_reader(udp, partial(self._receive, udp, port))

    def _receive(self, udp: UdpPort, port: int) -> None:
        began = self._clock()
        self.handle(udp, port, udp.receive(self._most))
        long = self._clock() - began > _LONGEST_TURN
        self._most = max(_FEWEST, self._most // 2) if long else min(MOST, self._most * 2)
        if port not in self._turns:
            self._take_turn(udp, port)

    def _take_turn(self, udp: UdpPort, port: int) -> None:
        """Handle some of those who wait. If that leaves others, there is another turn after all other services'."""
        assert self._loop is not None
        if self.handle_waiting(udp, port):
            self._turns[port] = self._loop.call_soon(self._take_turn, udp, port)
        else:
            self._turns.pop(port, None)

    def handle(self, udp: UdpPort, port: int, batch: Iterable[tuple[bytes, Peer]]) -> None:
        """Handle datagrams that came to `port` together; answers leave by `udp`. Requests of PCs that have never booted
        wait for `handle_waiting`."""
        now, duplicates, allowed, appetite = self._clock(), self._duplicates[port], self._allowed, self._appetite
        known, leasing = duplicates.requests, self._leases is not None and port == SERVER_PORT
        number, mark, knows, waiting = int.from_bytes, packet.BOOT_MARK, self._knows, self._waiting[port]
        self._forget_outdated_answers()
        repeats: list[tuple[bytes, Peer]] = []
        self._offers.begin()
        offered = self._offers.waiting
        for datagram, peer in batch:
            try:
                chaddr = datagram[28:34]
                if offered and chaddr in offered:
                    # Handle the two requests of one client as if they had not come together.
                    self._offers.send()
                request = known.get(chaddr)
                if request is not None and request.is_copied_by(datagram, peer, now):
                    if (answer := request.answer) is not None:
                        repeats.append((answer[0] + datagram[4:8] + answer[1], answer[2]))
                        if len(repeats) == _REPEATS:
                            udp.send_all(repeats)
                            repeats.clear()
                elif (may_boot := allowed(value := number(chaddr, "big"))) or leasing:
                    if not appetite.allows(chaddr, now):
                        continue
                    if knows(value):
                        self._handle_new(udp, port, datagram, peer, may_boot, now)
                    else:
                        waiting.enter(datagram, (datagram, peer), now)
                elif mark in datagram and duplicates.may_report_stranger(now):
                    self._handle_new(udp, port, datagram, peer, False, now)
            except Exception:
                self._log_failure(peer[0])
        udp.send_all(repeats)
        self._offers.end()
        for mac, count in appetite.report(now):
            try:
                self._emit(Ignored("dhcp", str(mac), Reason.TOO_OFTEN, f"{count} so far", count=count))
            except Exception:
                self._log_failure(str(mac))

    def handle_waiting(self, udp: UdpPort, port: int) -> bool:
        """Handle requests to `port` of PCs that have never booted, for as long as one turn may take; returns whether
        others still wait."""
        waiting, now = self._waiting[port], self._clock()
        until = now + _LONGEST_TURN
        self._offers.begin()
        while now < until and (request := waiting.next(now)):
            datagram, peer = request
            try:
                chaddr = datagram[28:34]
                if chaddr in self._offers.waiting:
                    self._offers.send()
                allowed = self._allowed(int.from_bytes(chaddr, "big"))
                self._handle_new(udp, port, datagram, peer, allowed, now)
            except Exception:
                self._log_failure(peer[0])
            now = self._clock()
        self._offers.end()
        if waiting.dropped and now >= self._drops_reported_at + _DROPS_REPORTED_EVERY:
            self._drops_reported_at = now
            words = {"interface": self._interface, "requests": waiting.dropped}
            log.warning("more dhcp requests of PCs that never booted than can be answered", extra=words)
            waiting.dropped = 0
        return len(waiting) > 0

    def _forget_outdated_answers(self) -> None:
        basis = self._basis()
        if any(map(is_not, basis, self._last_basis)):
            self._last_basis = basis
            for each in self._duplicates.values():
                each.forget()

    def _handle_new(self, udp: UdpPort, port: int, datagram: bytes, peer: Peer, allowed: bool, now: float) -> None:
        if port == SERVER_PORT:
            # A client with a new request here may get another answer on the other port as well.
            self._duplicates[BOOT_SERVER_PORT].requests.pop(datagram[28:34], None)
        leases = self._leases if port == SERVER_PORT else None
        arrival = _arrival(peer, port)
        message, events = boot_answer.read(
            datagram, arrival, self._address, allowed=allowed, leases_to=leases.serves if leases is not None else None
        )
        for event in events:
            self._emit(event)
        if isinstance(message, Ignore):
            if leases is None and events and message.reason is Reason.NOT_ALLOWED:
                self._duplicates[port].remember_silence(datagram, peer, now)
            return
        if leases is not None:
            # `ask` says so of boot requests only, but a lease would go to the relay as well.
            relayed, events = boot_answer.by_known_relay(message, arrival, self._serves)
            if isinstance(relayed, Ignore):
                for event in events:
                    self._emit(event)
                return
        received = _Received(udp, datagram, peer, message, arrival, now)
        offer = self._boot_offer(received) if allowed else None
        if leases is not None:
            self._lease(leases, received, offer)
        elif offer is not None:
            self._send_offer(received, *offer)

    def _boot_offer(self, received: _Received) -> _Offer | None:
        """The offer that a proxy makes to the client, if it asks for its boot file and may have it."""
        message, arrival = received.message, received.arrival
        leasing = self._leases is not None and arrival.port == SERVER_PORT
        asked, events = boot_answer.ask(
            message, arrival, leasing=leasing, broadcasts=self._broadcasts, serves=self._serves
        )
        for event in events:
            self._emit(event)
        if isinstance(asked, Ignore):
            if not events and self._leases is None:
                self._duplicates[arrival.port].remember_silence(received.datagram, received.peer, received.at)
            return None
        reply, events = boot_answer.answer(message, asked, self._plan(asked), self._address, arrival)
        if isinstance(reply, Ignore):
            for event in events:
                self._emit(event)
            return None
        return reply, events

    def _lease(self, leases: LeaseServer, received: _Received, offer: _Offer | None) -> None:
        """Answer with a lease, and with what the client boots where there is an offer."""
        message = received.message

        def send(reply: Reply) -> None:
            if offer is not None and reply.message_type == MessageType.OFFER:
                self._send_offer(received, reply, offer[1])
            else:
                self._send(received.udp, reply)

        boot = BootFields.of(offer[0], ipxe=message.ipxe) if offer is not None else NO_BOOT
        decision = leases.answer(Question(message, self._address, send, boot))
        if offer is not None and boot_answer.is_without_lease(message, decision):
            self._send_offer(received, *offer)

    def _send_offer(self, received: _Received, reply: Reply, events: tuple[Event, ...]) -> None:
        self._offers.add(received.datagram[28:34], received.peer[0], _Leaving(received, reply, events))

    def _send_offers(self, offers: Sequence[_Leaving]) -> None:
        """Send offers that leave by one port. What fails ends only its own offer."""
        for late in [offer for offer in offers if offer.reply.delay]:
            self._delayed.send(late.reply.delay, partial(self._send_now, [late]))
        self._send_now([offer for offer in offers if not offer.reply.delay])

    def _send_now(self, offers: Sequence[_Leaving]) -> None:
        leaving: list[tuple[bytes, Peer]] = []
        encoded: list[_Leaving] = []
        for offer in offers:
            try:
                leaving.append((self._templates.encode(offer.reply), _destination(offer.reply)))
                encoded.append(offer)
            except Exception:
                self._log_failure(offer.received.peer[0])
        if not encoded:
            return
        unsent = encoded[0].received.udp.send_all(leaving)
        for place, offer in enumerate(encoded):
            try:
                if place in unsent:
                    self._log_unsent(offer.reply, unsent[place])
                else:
                    self._sent(offer, *leaving[place])
            except Exception:
                self._log_failure(offer.received.peer[0])

    def _sent(self, offer: _Leaving, datagram: bytes, destination: Peer) -> None:
        for event in offer.events:
            self._emit(event)
        if boot_answer.waits_for_router(offer.received.message, offer.received.arrival):
            self._no_router(offer.reply.mac)
        if self._leases is None and not offer.reply.delay:
            received = offer.received
            duplicates = self._duplicates[received.arrival.port]
            duplicates.remember_answer(received.datagram, received.peer, received.at, datagram, destination)

    def _send(self, udp: UdpPort, reply: Reply) -> None:
        try:
            udp.send(self._templates.encode(reply), _destination(reply))
        except OSError as error:
            self._log_unsent(reply, str(error))

    def _log_unsent(self, reply: Reply, why: str) -> None:
        to = "{}:{}".format(*_destination(reply))
        words = {"interface": self._interface, "mac": str(reply.mac), "destination": to, "error": why}
        log.warning("dhcp answer not sent", extra=words)

    def _log_failure(self, source: str) -> None:
        log.exception("dhcp datagram failed", extra={"interface": self._interface, "source": source})


@lru_cache(maxsize=256)
def _arrival(peer: Peer, port: int) -> Arrival:
    return Arrival(IPv4Address(peer[0]), peer[1], port)


def _destination(reply: Reply) -> Peer:
    # Nearly all replies are broadcast: their destination is not written as text each time.
    everyone = reply.destination is EVERYONE
    return (_EVERYONE if everyone else str(reply.destination)), reply.destination_port
