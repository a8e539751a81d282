"""The DHCP sockets of one interface, ports 67 and 4011: receive, ask proxy.py, send, report.

Beside a DHCP server on the same host, which has port 67, it hears 4011 alone (PXE 2.1). Knows nothing of who may boot
what: `allowed` and `plan` say so. Leases no address itself: with a LeaseServer, what comes to port 67 is passed to it.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from ipaddress import IPv4Address
from operator import is_not

from services.decision import Ignore, Reason
from services.dhcp import packet, proxy, quirks
from services.dhcp.delayed_send import DelayedSend
from services.dhcp.duplicates import Duplicates
from services.dhcp.fingerprint import fingerprint
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
from services.dhcp.port import open_port
from services.dhcp.proxy import BootRequest
from services.dhcp.templates import Templates
from services.dhcp.udp_port import UdpPort
from services.events import AddressSeen, Discovered, Event, Ignored, LeaseChosen, Offered
from services.linux.sockets import BindError

_EVERYONE = str(EVERYONE)
_AGAIN = 64
"""Answers from memory that are gathered before they leave."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request, where it came from, and when."""

    wire: UdpPort
    datagram: bytes
    peer: Peer
    message: Message
    arrival: Arrival
    at: float


class ProxyDhcp:
    """Answers network boot requests that arrive by `interface`, as the server `address`.

    The callables run in the event loop: `allowed` says of each datagram whether its MAC address, as a number, may boot
    at all; for those that are no copies (recent.py) `plan` says what they boot, `emit` takes the events, and `commit`
    runs before the offers of a batch leave. `basis` gives the objects that answers rest on: once one of them is another
    object, no answer from before is repeated. Whatever one datagram raises ends only itself. Without `broadcasts` port
    67 is left to another server. With `leases` clients get addresses too. `clock` gives monotonic seconds.
    """

    def __init__(
        self,
        interface: str,
        address: IPv4Address,
        *,
        allowed: Callable[[int], bool],
        plan: Callable[[BootRequest], BootPlan | Ignore],
        emit: Callable[[Event], None],
        commit: Callable[[], None] = lambda: None,
        basis: Callable[[], tuple[object, ...]] = tuple,
        broadcasts: bool = True,
        leases: LeaseServer | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._leases = leases
        self._broadcasts = broadcasts
        self._interface = interface
        self._address = address
        self._allowed = allowed
        self._plan = plan
        self._emit = emit
        self._basis = basis
        self._rested_on = basis()
        self._clock = clock
        self._wires: list[UdpPort] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._delayed = DelayedSend()
        self._templates = Templates()
        self._recent = {SERVER_PORT: Duplicates(), BOOT_SERVER_PORT: Duplicates()}
        self._departures = OfferBatch(commit, self._say_failed)

    def open(self) -> None:
        """Bind the ports and serve in the running event loop; raises BindError, and then no port is bound."""
        self._loop = asyncio.get_running_loop()
        try:
            # Port 67 hears broadcasts only on the wildcard address. Port 4011 must not: what is sent to it and not to
            # our own address was meant for another boot server.
            if self._broadcasts:
                self._listen(NOWHERE, SERVER_PORT)
            self._listen(self._address, BOOT_SERVER_PORT)
        except BindError:
            self.close()
            raise

    def close(self) -> None:
        """Stop answering and free the ports. May be called twice."""
        self._delayed.cancel()
        while self._wires:
            wire = self._wires.pop()
            if self._loop is not None:
                self._loop.remove_reader(wire)
            wire.close()

    def _listen(self, address: IPv4Address, port: int) -> None:
        assert self._loop is not None
        wire = open_port(self._interface, address, port, self._address)
        self._wires.append(wire)
        self._loop.add_reader(wire, partial(self._receive, wire, port))

    def _receive(self, wire: UdpPort, port: int) -> None:
        self.hear(wire, port, wire.receive())

    def hear(self, wire: UdpPort, port: int, batch: Iterable[tuple[bytes, Peer]]) -> None:
        """Take what came to `port`; answers leave by `wire`."""
        now, recent, allowed = self._clock(), self._recent[port], self._allowed
        known, leasing = recent.heard, self._leases is not None and port == SERVER_PORT
        number, mark = int.from_bytes, packet.BOOT_MARK
        self._forget_what_may_have_changed()
        again: list[tuple[bytes, Peer]] = []
        self._departures.gather()
        waiting = self._departures.waiting
        for datagram, peer in batch:
            try:
                chaddr = datagram[28:34]
                if waiting and chaddr in waiting:
                    # One after the other, as if they had not come together.
                    self._departures.leave()
                heard = known.get(chaddr)
                if heard is not None and heard.is_copied_by(datagram, peer, now):
                    if (answer := heard.answer) is not None:
                        again.append((answer[0] + datagram[4:8] + answer[1], answer[2]))
                        if len(again) == _AGAIN:
                            wire.send_all(again)
                            again.clear()
                elif (may := allowed(number(chaddr, "big"))) or leasing:
                    self._handle(wire, port, datagram, peer, may, now)
                elif mark in datagram and recent.may_refuse_aloud(now):
                    self._refuse(recent, port, datagram, peer, now)
            except Exception:
                self._say_failed(peer[0])
        wire.send_all(again)
        self._departures.leave_all()

    def _forget_what_may_have_changed(self) -> None:
        basis = self._basis()
        if any(map(is_not, basis, self._rested_on)):
            self._rested_on = basis
            for each in self._recent.values():
                each.forget()

    def _refuse(self, recent: Duplicates, port: int, datagram: bytes, peer: Peer, now: float) -> None:
        if not packet.looks_like_boot(datagram, port):
            return
        mac = packet.peek(datagram)
        if isinstance(mac, Ignore):
            self._ignore(peer[0], mac.reason)
        else:
            self._ignore(str(mac), Reason.NOT_ALLOWED)
            recent.silence(datagram, peer, now)

    def _handle(self, wire: UdpPort, port: int, datagram: bytes, peer: Peer, may: bool, now: float) -> None:
        if port == SERVER_PORT:
            # Who asks anew here may be told something else there as well.
            self._recent[BOOT_SERVER_PORT].heard.pop(datagram[28:34], None)
        mac = packet.peek(datagram)
        if isinstance(mac, Ignore):
            if packet.looks_like_boot(datagram, port):
                self._ignore(peer[0], mac.reason)
            return
        leases = self._leases if port == SERVER_PORT else None
        if not may:
            if packet.looks_like_boot(datagram, port):
                self._ignore(str(mac), Reason.NOT_ALLOWED)
            if leases is None or not leases.serves(mac):
                return
        message = packet.decode(datagram)
        if isinstance(message, Ignore):
            if message.reason is Reason.MALFORMED:
                self._ignore(str(mac), message.reason)
            return
        arrival = _arrival(peer, port)
        asked = _Asked(wire, datagram, peer, message, arrival, now)
        if may:
            self._observe(message, arrival)
        if leases is not None:
            self._lease(leases, asked, may)
        elif (found := self._boot(asked)) is not None:
            self._offer(asked, *found)

    def _observe(self, message: Message, arrival: Arrival) -> None:
        if arrival.port == SERVER_PORT and message.message_type == MessageType.DISCOVER:
            return  # has no address yet, and has chosen nobody
        used = proxy.address_used(message, arrival)
        if not isinstance(used, Ignore):
            self._emit(AddressSeen(message.mac, used))
        chosen = proxy.server_chosen(message, arrival)
        if not isinstance(chosen, Ignore):
            self._emit(LeaseChosen(message.mac, chosen, chosen == self._address))

    def _lease(self, leases: LeaseServer, asked: _Asked, allowed: bool) -> None:
        """Answer with a lease, and with what boots where the client asked for that and may have it."""
        found = None
        message = asked.message
        if allowed and message.message_type == MessageType.DISCOVER:
            found = self._boot(asked)
        elif allowed and message.message_type == MessageType.REQUEST:
            # iPXE takes what it boots from the ACK: it is the same as in the OFFER.
            discover = replace(asked, message=replace(message, message_type=MessageType.DISCOVER))
            found = self._boot(discover, again=True)

        def send(reply: Reply) -> None:
            if found is not None and reply.message_type == MessageType.OFFER:
                self._offer(asked, found[0], reply)
            else:
                self._send(asked.wire, reply)

        boot = BootFields.of(found[1], ipxe=message.ipxe) if found is not None else NO_BOOT
        decision = leases.answer(Question(message, self._address, send, boot))
        if decision == Ignore(Reason.NO_POOL) and found is not None and message.message_type == MessageType.DISCOVER:
            # A network without a pool has a DHCP server of its own.
            self._offer(asked, *found)

    def _boot(self, asked: _Asked, *, again: bool = False) -> tuple[BootPlan, Reply] | None:
        """What the client boots and the proxy's offer of it, if it asks for that and may have it. `again`: it was told
        so before, and that is on record."""
        message, arrival = asked.message, asked.arrival
        request = proxy.classify(message, arrival)
        if isinstance(request, Ignore):
            # Everyone's ordinary DHCP traffic passes here: only what was meant as a boot request is worth a line.
            if request.reason not in (Reason.NOT_FOR_US, Reason.NOT_NETBOOT):
                self._ignore(str(message.mac), request.reason, _describe(message, arrival))
            elif self._leases is None:
                self._recent[arrival.port].silence(asked.datagram, asked.peer, asked.at)
            return None
        # Where the DISCOVER is not heard, the question for the boot file is the first that is heard of the client.
        if not again and (message.message_type == MessageType.DISCOVER or not self._broadcasts):
            told = (request.architecture, request.ipxe, message.xid, message.secs, request.http)
            self._emit(Discovered(request.mac, *told, fingerprint(message)))
        plan = self._plan(request)
        if isinstance(plan, Ignore):
            self._ignore(str(message.mac), plan.reason, _describe(message, arrival))
            return None
        reply = proxy.answer(message, request, plan, self._address, arrival)
        if isinstance(reply, Ignore):
            self._ignore(str(message.mac), reply.reason, _describe(message, arrival))
            return None
        return plan, reply

    def _offer(self, asked: _Asked, plan: BootPlan, reply: Reply) -> None:
        def send() -> None:
            if not (sent := self._send(asked.wire, reply)):
                return
            self._emit(Offered(reply.mac, plan.boot_file, asked.arrival.port))
            if self._leases is None and not reply.delay:
                self._recent[asked.arrival.port].answer(asked.datagram, asked.peer, asked.at, sent, _destination(reply))

        leave = partial(self._delayed.send, reply.delay, send)
        self._departures.add(asked.datagram[28:34], asked.peer[0], leave)

    def _send(self, wire: UdpPort, reply: Reply) -> bytes:
        """The bytes that were sent, or b""."""
        datagram = self._templates.encode(reply)
        destination = _destination(reply)
        try:
            wire.send(datagram, destination)
        except OSError as error:
            log.warning(
                "dhcp answer not sent",
                extra={
                    "interface": self._interface,
                    "mac": str(reply.mac),
                    "destination": "{}:{}".format(*destination),
                    "error": str(error),
                },
            )
            return b""
        return datagram

    def _ignore(self, client: str, reason: Reason, detail: str = "") -> None:
        self._emit(Ignored("dhcp", client, reason, detail))

    def _say_failed(self, source: str) -> None:
        log.exception("dhcp datagram failed", extra={"interface": self._interface, "source": source})


@lru_cache(maxsize=256)
def _arrival(peer: Peer, port: int) -> Arrival:
    return Arrival(IPv4Address(peer[0]), peer[1], port)


def _destination(reply: Reply) -> Peer:
    # Of the one to which nearly all go there need be no text made.
    everyone = reply.destination is EVERYONE
    return (_EVERYONE if everyone else str(reply.destination)), reply.destination_port


def _describe(message: Message, arrival: Arrival) -> str:
    numbers = ", ".join(map(str, message.architectures)) or "none"
    known = "".join(f"{quirk.name}, " for quirk in quirks.find(message))
    where = f"{arrival.source}:{arrival.source_port}"
    return f"class {message.vendor_class!r}, architecture {numbers}, {known}from {where}"
