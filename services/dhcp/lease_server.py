"""The timing of leases: addresses are probed before they are offered, leases are saved before they are acknowledged.

One LeaseServer for all interfaces; server.py has the sockets, leasing.py the rules. Nothing here blocks: an offer whose
address is being probed and an ACK whose lease is not saved yet leave later, by timers of the event loop.

RFC 2131, section 3.1, requires a lease to be in persistent storage before its ACK is sent, so that a restart gives no
address away twice. While the disk is full, or another process keeps the registry locked, that would take the addresses
from all PCs at their next renewals. So leases are then acknowledged from memory, and saved as soon as possible. If the
server is killed meanwhile and forgets them, there is a second line of defence: an address is not offered while somebody
answers there, and a PC that renews keeps its address.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

from services.decision import Ignore, Reason
from services.dhcp.lease import Decision, Declined, Information, Lease, LeaseGrant, LeaseOffer, Nak
from services.dhcp.lease_reply import NO_BOOT, BootFields, reply
from services.dhcp.leasing import Leasing
from services.dhcp.message import NOWHERE, Message, MessageType, Reply
from services.ethernet import MacAddress
from services.events import Event, Ignored
from services.linux.neighbours import Neighbours

PROBE_SECONDS = 0.4
"""How long an address is probed before it is offered; firmware asks again after 4 s (EDK2), iPXE after 1 s."""

COMMIT_SECONDS = 0.005
"""How long leases are collected for one commit."""

_TRIES = 4
"""Addresses probed for one DISCOVER. After that the client has to ask again."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Question:
    """A message, our address on the interface where it arrived, what its client boots, and how to send an answer."""

    message: Message
    server: IPv4Address
    send: Callable[[Reply], None]
    boot: BootFields = NO_BOOT


class LeaseServer:
    """Answers DHCP clients with leases.

    `serves`: whether a MAC address may have a lease. `save` stores leases, in one commit; it may raise anything, and
    `flush` tries again. `given` is called when a client gets an address that it did not have, before the ACK.
    """

    def __init__(
        self,
        leasing: Leasing,
        neighbours: Neighbours,
        *,
        serves: Callable[[MacAddress], bool],
        save: Callable[[Sequence[Lease]], None],
        given: Callable[[IPv4Address, MacAddress], None],
        emit: Callable[[Event], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.serves = serves
        self._leasing = leasing
        self._neighbours = neighbours
        self._save = save
        self._given = given
        self._emit = emit
        self._clock = clock
        self._probing: dict[MacAddress, Question] = {}
        self._unsaved: dict[IPv4Address, Lease] = {}
        self._granted: list[tuple[Question, LeaseGrant]] = []
        self._commit_due: asyncio.TimerHandle | None = None
        # Failed attempts to save since the last successful one.
        self._failures = 0

    def answer(self, question: Question) -> Decision:
        """Answer, now or when probe and commit are done; returns the decision."""
        return self._decide(question, _TRIES)

    def flush(self) -> None:
        """Save the leases that are not saved yet, in one commit, then acknowledge them. Raises what `save` does.

        To be called a few times a second, and after `close`. An ACK waits for two attempts, so that another process
        that writes for a moment only delays it. After two failures ACKs leave although their leases are not saved.
        """
        if not self._unsaved:
            return
        self._failures += 1
        try:
            self._save(list(self._unsaved.values()))
            self._failures = 0
            self._unsaved.clear()
        finally:
            if self._failures != 1:
                self._acknowledge()

    def close(self) -> None:
        """Save the leases that are not saved yet, and offer no more. May be called twice."""
        self._probing.clear()
        if self._commit_due is not None:
            self._commit_due.cancel()
        self._commit()
        self._acknowledge()

    def _decide(self, question: Question, tries: int) -> Decision:
        mac = question.message.mac
        if self._still_uses(question.message):
            self._emit(Ignored("dhcp", str(mac), Reason.STILL_USED, f"{question.message.requested_address}"))
            return Ignore(Reason.STILL_USED)
        decision = self._leasing.decide(question.message, question.server, self._clock())
        match decision:
            case LeaseOffer(probe=True):
                self._probe(question, decision, tries)
            case LeaseOffer() | Information():
                self._send(question, decision)
            case LeaseGrant():
                self._granted.append((question, decision))
            case Nak():
                log.debug("lease refused", extra={"mac": str(mac), "why": decision.why})
                self._send(question, decision)
            case Declined():
                declined = {"mac": str(mac), "address": str(decision.address)}
                log.warning("address declined: another machine uses it", extra=declined)
            case Ignore(Reason.POOL_EMPTY):
                self._emit(Ignored("dhcp", str(mac), Reason.POOL_EMPTY))
            case Ignore(Reason.NO_POOL) if question.message.giaddr != NOWHERE:
                of = f", for the network of {question.message.link}" if question.message.link is not None else ""
                self._emit(Ignored("dhcp", str(mac), Reason.NO_POOL, f"relay {question.message.giaddr}{of}"))
        self._commit_soon()
        return decision

    def _still_uses(self, message: Message) -> bool:
        """Whether a client declines an address that it uses: then somebody else does so in its name. A client looks
        before it uses an address (RFC 2131, section 4.4.1)."""
        if message.message_type != MessageType.DECLINE or message.requested_address is None:
            return False
        sighting = self._neighbours.sighting(message.requested_address)
        return sighting is not None and sighting.fresh and sighting.mac == message.mac

    def _probe(self, question: Question, offer: LeaseOffer, tries: int) -> None:
        """Make the kernel look for the address, and continue when it has had time to find somebody."""
        mac = question.message.mac
        is_probed = mac in self._probing
        # The answer goes to the latest request of a client that asks again meanwhile.
        self._probing[mac] = question
        if is_probed:
            return
        if self._neighbours.on_link(offer.address):
            self._neighbours.nudge(offer.address)
            asyncio.get_running_loop().call_later(PROBE_SECONDS, self._probed, mac, offer, tries)
        else:
            # ARP does not reach behind a relay; there the client itself probes, and declines (RFC 2131 section 4.4.1).
            self._probed(mac, offer, tries)

    def _probed(self, mac: MacAddress, offer: LeaseOffer, tries: int) -> None:
        question = self._probing.pop(mac, None)
        if question is None:
            return
        try:
            sighting = self._neighbours.sighting(offer.address)
            if sighting is None or sighting.mac == mac:
                if self._leasing.found_free(mac, offer.address):
                    self._send(question, offer)
                return
            blocked = self._leasing.found_taken(mac, offer.address, sighting.mac, sighting.fresh, self._clock())
            if blocked is not None:
                log.warning(
                    "address is in use by another machine; it is not leased for a while",
                    extra={
                        "address": str(offer.address),
                        "by": str(sighting.mac),
                        "do": "give that machine an address outside the pool",
                    },
                )
            self._commit_soon()
            if tries > 1:
                self._decide(question, tries - 1)
        except Exception:
            log.exception("dhcp offer failed", extra={"mac": str(mac), "address": str(offer.address)})

    def _commit_soon(self) -> None:
        for lease in self._leasing.changes():
            self._unsaved[lease.address] = lease
        if self._failures > 1:
            self._acknowledge()
        elif self._unsaved and not self._failures and self._commit_due is None:
            self._commit_due = asyncio.get_running_loop().call_later(COMMIT_SECONDS, self._commit)

    def _commit(self) -> None:
        self._commit_due = None
        # The next `flush` fails as well, and its caller reports why.
        with contextlib.suppress(Exception):
            self.flush()

    def _acknowledge(self) -> None:
        granted, self._granted = self._granted, []
        for question, grant in granted:
            lease = grant.lease
            try:
                if grant.new:
                    log.info("leased", extra={"mac": str(lease.mac), "address": str(lease.address)})
                    self._given(lease.address, lease.mac)
                self._send(question, grant)
            except Exception:
                log.exception("dhcp answer failed", extra={"mac": str(lease.mac), "address": str(lease.address)})

    def _send(self, question: Question, decision: LeaseOffer | LeaseGrant | Information | Nak) -> None:
        question.send(reply(question.message, decision, question.server, question.boot))
