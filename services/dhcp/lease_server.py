"""Leases in time: probes an address before it is offered, writes leases down before they are acknowledged.

One for all interfaces; server.py has the sockets, leasing.py the rules. Nothing here waits: an offer that is held back
and an ACK that is not written yet leave later, by the event loop's timers.

RFC 2131, section 3.1, has a lease in persistent storage before its ACK, so that a restart gives no address away twice.
While there is no room on the disk, or another process keeps the lock, that would take their addresses from all PCs at
their next renewals: then leases are acknowledged from memory, and written as soon as that can be done. What a server
that is killed meanwhile forgets is met by the second line of defence: none is offered at which somebody answers, and a
PC that renews keeps its address.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

from services.decision import Ignore, Reason
from services.dhcp.lease import Decision, Information, Lease, LeaseGrant, Noted, Offer, Refusal, State
from services.dhcp.lease_reply import NO_BOOT, BootFields, reply
from services.dhcp.leasing import Leasing
from services.dhcp.message import NOWHERE, Message, Reply
from services.ethernet import MacAddress
from services.events import Event, Ignored
from services.linux.neighbours import Neighbours

PROBE_SECONDS = 0.4
"""How long an address is listened for before it is offered; firmware asks again after 4 s (EDK2), iPXE after 1 s."""

COMMIT_SECONDS = 0.005
"""How long leases are gathered for one commit."""

_TRIES = 4
"""Addresses probed for one DISCOVER; after them its retry is waited for."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Question:
    """A message, our address where it came in, what its client boots, and the way back."""

    message: Message
    server: IPv4Address
    send: Callable[[Reply], None]
    boot: BootFields = NO_BOOT


class LeaseServer:
    """Answers DHCP clients with leases.

    `serves`: whether a MAC address may have a lease. `save` writes leases down, in one commit; it may raise anything,
    and `flush` tries again what it could not. `given` is told who gets an address that it had not, before the client
    is.
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
        # Tries to write since the last that was not in vain.
        self._in_vain = 0

    def answer(self, question: Question) -> Decision:
        """Answer at once, or when that is possible; says what was decided."""
        return self._decide(question, _TRIES)

    def flush(self) -> None:
        """Write down what is not yet, in one commit, and then say so to the clients. Raises what `save` does.

        To be called some times a second, and after `close`. An ACK waits for two tries: another process that writes for
        a moment costs it nothing but that. After them it leaves all the same.
        """
        if not self._unsaved:
            return
        self._in_vain += 1
        try:
            self._save(list(self._unsaved.values()))
            self._in_vain = 0
            self._unsaved.clear()
        finally:
            if self._in_vain != 1:
                self._acknowledge()

    def close(self) -> None:
        """Write down what is not yet, and offer nothing more. May be called twice."""
        self._probing.clear()
        if self._commit_due is not None:
            self._commit_due.cancel()
        self._commit()
        self._acknowledge()

    def _decide(self, question: Question, tries: int) -> Decision:
        mac = question.message.mac
        decision = self._leasing.decide(question.message, question.server, self._clock())
        match decision:
            case Offer(probe=True):
                self._probe(question, decision, tries)
            case Offer() | Information():
                self._send(question, decision)
            case LeaseGrant():
                self._granted.append((question, decision))
            case Refusal():
                log.debug("lease refused", extra={"mac": str(mac), "why": decision.why})
                self._send(question, decision)
            case Noted():
                if decision.lease.state is State.BLOCKED:
                    declined = {"mac": str(mac), "address": str(decision.lease.address)}
                    log.warning("address declined: another machine uses it", extra=declined)
            case Ignore(Reason.POOL_EMPTY):
                self._emit(Ignored("dhcp", str(mac), Reason.POOL_EMPTY))
            case Ignore(Reason.NO_POOL) if question.message.giaddr != NOWHERE:
                self._emit(Ignored("dhcp", str(mac), Reason.NO_POOL, f"relay {question.message.giaddr}"))
        self._commit_soon()
        return decision

    def _probe(self, question: Question, offer: Offer, tries: int) -> None:
        """Make the kernel look for the address, and go on when it had time to find somebody."""
        mac = question.message.mac
        under_way = mac in self._probing
        # A client that asks again meanwhile is answered in its latest words.
        self._probing[mac] = question
        if under_way:
            return
        if self._neighbours.on_link(offer.address):
            self._neighbours.nudge(offer.address)
            asyncio.get_running_loop().call_later(PROBE_SECONDS, self._probed, mac, offer, tries)
        else:
            # No ARP reaches behind a relay; the client itself looks, and declines (RFC 2131 section 4.4.1).
            self._probed(mac, offer, tries)

    def _probed(self, mac: MacAddress, offer: Offer, tries: int) -> None:
        question = self._probing.pop(mac, None)
        if question is None:
            return
        try:
            met = self._neighbours.sighting(offer.address)
            if met is None or met.mac == mac:
                if self._leasing.probed(mac, offer.address):
                    self._send(question, offer)
                return
            blocked = self._leasing.met(mac, offer.address, met.mac, met.fresh, self._clock())
            if blocked is not None:
                log.warning(
                    "address is in use by another machine; it is not leased for a while",
                    extra={
                        "address": str(offer.address),
                        "by": str(met.mac),
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
        if self._in_vain > 1:
            self._acknowledge()
        elif self._unsaved and not self._in_vain and self._commit_due is None:
            self._commit_due = asyncio.get_running_loop().call_later(COMMIT_SECONDS, self._commit)

    def _commit(self) -> None:
        self._commit_due = None
        # What went wrong is found, and said, by the next `flush`.
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

    def _send(self, question: Question, decision: Offer | LeaseGrant | Information | Refusal) -> None:
        question.send(reply(question.message, decision, question.server, question.boot))
