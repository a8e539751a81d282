"""All transfers under way: carries out the steps of each transfer, that is, sends packets and emits events.

It knows nothing of requests (responder.py) or the event loop: it is told what arrived, when time has passed, and when
the socket has room again.
"""

import errno
import logging
from collections import OrderedDict
from collections.abc import Callable

from services.events import Event, TransferFailed, TransferProgressed, TransferServed
from services.linux.udp_batches import UNCUT, Batches, address_of
from services.rate_limit import RateLimit
from services.tftp import fast_path
from services.tftp.content_cache import Chunk, ContentCache
from services.tftp.due_sessions import DueSessions
from services.tftp.lost_blocks import SENT, LostBlocks
from services.tftp.packet import ErrorCode, encode_error, encode_options
from services.tftp.session import Session
from services.tftp.transfer import Done, Failed, Probed, SendBlocks, SendOptions, Step, Wait

SERVICE = "tftp"
_REPORT_EVERY = 1.0
_HEADER = 4

UNPROVEN_BURST, UNPROVEN_RATE = 48_000, 4_000
"""Bytes, and bytes a second, to an address in transfers of which no DATA was acknowledged. Requests in its name may be
forged; what an honest client has acknowledged does not count."""

_CLIENTS = 4096
_OACK = 64  # bytes of one, about

log = logging.getLogger(__name__)


class Sessions:
    """Sessions by peer. `emit` takes events; `ended` is called with each session that is over.

    `await_room` is called when the shared socket is full: call `resume` when it has room again. `await_tick` is called
    when a session begins: call `tick` every TICK while there are sessions.
    """

    def __init__(
        self,
        cache: ContentCache,
        *,
        clock: Callable[[], float],
        emit: Callable[[Event], None],
        ended: Callable[[Session], None],
        await_room: Callable[[], None],
        await_tick: Callable[[], None],
    ) -> None:
        self.by_peer: dict[bytes, Session] = {}
        self.count_by_client: dict[bytes, int] = {}  # sessions of each address
        self.blocked: dict[bytes, Session] = {}  # those with blocks the socket had no room for, in order
        self._unacknowledged: OrderedDict[Session, None] = OrderedDict()  # without any ACK so far, the oldest first
        self.batches: Batches | None = None  # of the shared socket, while it is open and this machine has them
        self.lost_blocks = LostBlocks()
        self._unproven = RateLimit[bytes](UNPROVEN_BURST, UNPROVEN_RATE, _CLIENTS)
        self._cache = cache
        self._clock = clock
        self._due_sessions = DueSessions()
        self._outgoing: list[tuple[Session, Chunk, bytes]] = []  # windows to send together; the chunk keeps them alive
        self._emit = emit
        self._ended = ended
        self._await_room = await_room
        self._await_tick = await_tick

    def begin(self, session: Session) -> None:
        """Answer the request that opened `session`."""
        self.by_peer[session.peer] = session
        self._unacknowledged[session] = None
        client = client_of(session.peer)
        self.count_by_client[client] = self.count_by_client.get(client, 0) + 1
        self._await_tick()
        self.guard(session.peer, self._start, session)

    def _start(self, session: Session) -> None:
        self.act(session, session.transfer.start(session.started))

    def acknowledge(self, session: Session, block: int) -> None:
        """Take an ACK on the regular path."""
        self._unacknowledged.pop(session, None)
        session.leave_fast_path()
        now = self._clock()
        step = session.transfer.acknowledge(block, now)
        if session.unproven and session.transfer.acked:
            self._unproven.give_back(client_of(session.peer), now, session.unproven)
            session.unproven = 0
            self.lost_blocks.carried(client_of(session.peer), session.first_block, now)
        self.act(session, step)

    def make_room(self) -> bool:
        """End the session that has waited longest for its first ACK; returns whether there was one.

        A live client acknowledges within milliseconds. One that sends many requests and nothing more must not keep the
        others out until all its transfers time out.
        """
        oldest = next(iter(self._unacknowledged), None)
        if oldest is None:
            return False
        self.fail(oldest, "the client acknowledged nothing, and other clients needed the place")
        return True

    def guard(self, peer: bytes, act: Callable[..., None], *arguments: object) -> None:
        """Run `act`; whatever it raises ends only the transfer with `peer`."""
        try:
            act(*arguments)
        except OSError as error:
            if session := self.by_peer.get(peer):
                self.flush()
                session.sender.send(peer, [encode_error(ErrorCode.UNDEFINED, "the file can no longer be read")])
                self.fail(session, str(error))
        except Exception:
            log.exception("tftp: internal error; only the transfer with %s ends", address_of(peer)[0])
            if session := self.by_peer.get(peer):
                self.fail(session, "internal error; the server's log has the details")

    def act(self, session: Session, step: Step) -> None:
        """Carry out a step of its transfer."""
        transfer = session.transfer
        match step:
            case Wait():
                pass
            case SendBlocks(first, last, beyond):
                if session.reported_at is None:
                    session.reported_at = self._clock()
                    self._emit(TransferProgressed(session.mac, SERVICE, session.path, 0, transfer.size))
                if transfer.acked or self._may_cost(session, (last - first + 1 + bool(beyond)) * transfer.terms.block):
                    if not transfer.acked:
                        session.first_sent += 1
                    self._send(session, first, last)
                    if beyond and not session.pending:
                        self._send(session, beyond, beyond)
            case SendOptions() if self._may_cost(session, _OACK):
                self.flush()
                session.sender.send(session.peer, [encode_options(transfer.terms.granted or {})])
            case Done():
                self._end(session)
                now = self._clock()
                seconds = now - session.started
                if self.lost_blocks.served(client_of(session.peer), transfer.blocks, now):
                    log.warning(
                        "tftp: %s gets blocks of %d bytes for a day, because larger ones do not reach it: set "
                        "[tftp] largest_block to the MTU of the way less 32",
                        address_of(session.peer)[0],
                        transfer.terms.block,
                    )
                self._emit(TransferServed(session.mac, SERVICE, session.path, transfer.size, seconds))
                return
            case Probed():
                self._end(session)
                return
            case Failed(why):
                self.fail(session, why)
                return
        session.enter_fast_path(self._cache)
        self._due_sessions.put(session, transfer.deadline)

    def _may_cost(self, session: Session, cost: int) -> bool:
        """Whether so many bytes may go to a client that has acknowledged no DATA. If not, it may be different at the
        next retransmission."""
        if not self._unproven.take(client_of(session.peer), self._clock(), cost):
            return False
        session.unproven += cost
        return True

    def fail(self, session: Session, why: str) -> None:
        """End a session before its last byte."""
        sent = session.settle().acked_bytes
        self._end(session)
        self._emit(TransferFailed(session.mac, SERVICE, session.path, sent, why))

    def _end(self, session: Session) -> None:
        if self.by_peer.get(session.peer) is not session:
            return
        session.leave_fast_path()
        del self.by_peer[session.peer]
        self._unacknowledged.pop(session, None)
        self.blocked.pop(session.peer, None)
        self._due_sessions.remove(session)
        client = client_of(session.peer)
        self.count_by_client[client] -= 1
        if not self.count_by_client[client]:
            del self.count_by_client[client]
        self._cache.release(session.content)
        self._ended(session)

    def answer_expected(self, count: int, now: float) -> list[int]:
        """Take the fast path with what `batches` received; returns the numbers of the other datagrams."""
        assert self.batches is not None
        others, unsent = fast_path.answer(self.batches, count, self.by_peer, now)
        for session, number in unsent:
            self._send_failed(session, number)
        return others

    def flush(self) -> None:
        """Send the windows collected so far. Call it after every `guard` or batch of them."""
        if not self._outgoing or self.batches is None:
            return
        outgoing, self._outgoing = self._outgoing, []
        for number, error in self.batches.send([each[0].peer for each in outgoing], [each[2] for each in outgoing]):
            self._send_failed(outgoing[number][0], error)

    def _send_failed(self, session: Session, number: int) -> None:
        session.leave_fast_path()
        if (number == errno.EAGAIN or number in UNCUT) and self.by_peer.get(session.peer) is session:
            session.pending = session.transfer.outstanding
            self.guard(session.peer, self._send_pending, session)

    def _send(self, session: Session, first: int, last: int) -> None:
        terms = session.transfer.terms
        session.pending = None
        if self.batches and last - first + 1 == terms.window and session.sends_prepared:
            chunk = self._cache.chunk(session.content, terms.block, first)
            if prepared := self._cache.prepare(chunk, terms.window, first):
                self._outgoing.append((session, chunk, prepared[1]))
                if len(self._outgoing) == self.batches.most:
                    self.flush()
                return
        self.flush()  # windows collected before go out first
        session.pending = first, last
        self._send_pending(session)

    def _send_pending(self, session: Session) -> None:
        """Send pending blocks until the socket is full; the rest follows when it has room."""
        if session.pending is None:
            return
        first, last = session.pending
        block = session.transfer.terms.block
        packets = self._cache.packets(session.content, block, first, last)
        first += session.sender.send(session.peer, packets, block + _HEADER)
        # A full socket of a session's own has a single client, which the retransmission timer serves.
        session.pending = (first, last) if first <= last and not session.own_port else None
        if session.pending:
            if not self.blocked:
                self._await_room()
            self.blocked[session.peer] = session

    def resume(self) -> None:
        """Go on sending to those the socket had no room for."""
        blocked = list(self.blocked.values())
        self.blocked.clear()
        for session in blocked:
            self.guard(session.peer, self._send_pending, session)

    def tick(self) -> None:
        """Retransmit and report where due."""
        now = self._clock()
        for session in self._due_sessions.due(now):
            self.guard(session.peer, self._check, session, now)
        self.flush()

    def _check(self, session: Session, now: float) -> None:
        if session.reported_at is not None and now - session.reported_at >= _REPORT_EVERY:
            self._report(session, now)
        deadline = session.deadline
        if now < deadline:
            self._due_sessions.put(session, deadline)
            return
        session.leave_fast_path()
        if session.first_sent == SENT and not session.transfer.acked and not session.pending:
            self.lost_blocks.lost(client_of(session.peer), session.first_block, now)
        self.act(session, session.transfer.expire(now))

    def _report(self, session: Session, now: float) -> None:
        transfer = session.settle()
        session.reported_at = now
        if transfer.acked_bytes != session.reported_bytes:
            session.reported_bytes = transfer.acked_bytes
            self._emit(TransferProgressed(session.mac, SERVICE, session.path, transfer.acked_bytes, transfer.size))


def client_of(peer: bytes) -> bytes:
    """The address of a peer, without its port."""
    return peer[4:8]
