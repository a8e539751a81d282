"""All transfers under way: what each step of a transfer means for its client, the socket and the event stream.

Knows no requests (server.py) and no event loop: it is told what arrived, when time has passed, and when the socket has
room again.
"""

import errno
import logging
from collections import OrderedDict
from collections.abc import Callable

from services.events import Event, TransferFailed, TransferProgressed, TransferServed
from services.linux.udp_batches import UNCUT, Batches, address_of
from services.tftp import fast_path
from services.tftp.content_cache import Chunk, ContentCache, FileChanged
from services.tftp.deadlines import Deadlines
from services.tftp.packet import ErrorCode, encode_error, encode_options
from services.tftp.session import Session
from services.tftp.transfer import Done, Failed, Probed, SendBlocks, SendOptions, Step, Wait

_SERVICE = "tftp"
_REPORT_EVERY = 1.0
_HEADER = 4

log = logging.getLogger(__name__)


class Sessions:
    """Sessions by peer. `tell` takes events; `ended` is called with each session that is over; `await_room` when the
    shared socket is full, and `resume` is to be called when it has room again."""

    def __init__(
        self,
        arena: ContentCache,
        *,
        clock: Callable[[], float],
        tell: Callable[[Event], None],
        ended: Callable[[Session], None],
        await_room: Callable[[], None],
    ) -> None:
        self.sessions: dict[bytes, Session] = {}
        self.blocked: dict[bytes, Session] = {}  # those with blocks the socket had no room for, in order
        self.of_client: dict[bytes, int] = {}  # how many sessions each address has
        self._unheard: OrderedDict[Session, None] = OrderedDict()  # without any ACK so far, the oldest first
        self.batches: Batches | None = None  # of the shared socket, while there are any
        self._arena = arena
        self._clock = clock
        self._deadlines = Deadlines()
        self._leaving: list[tuple[Session, Chunk, bytes]] = []  # windows that leave together, with what they lie in
        self._tell = tell
        self._ended = ended
        self._await_room = await_room

    def begin(self, session: Session) -> None:
        """Answer the request that opened `session`."""
        self.sessions[session.peer] = session
        self._unheard[session] = None
        client = client_of(session.peer)
        self.of_client[client] = self.of_client.get(client, 0) + 1
        self.guard(session.peer, self._start, session)

    def _start(self, session: Session) -> None:
        self.act(session, session.transfer.start(session.started))

    def acknowledge(self, session: Session, block: int) -> None:
        """Take the plain way with an ACK."""
        self._unheard.pop(session, None)
        session.leave()
        self.act(session, session.transfer.acknowledge(block, self._clock()))

    def make_room(self) -> bool:
        """End the session that has waited longest for its first ACK; whether there was one.

        A client that is there acknowledges within milliseconds. Who sends many requests and nothing more shall not
        keep the others out until all those have lapsed.
        """
        oldest = next(iter(self._unheard), None)
        if oldest is None:
            return False
        self.fail(oldest, "the client acknowledged nothing, and others need the room")
        return True

    def guard(self, peer: bytes, act: Callable[..., None], *arguments: object) -> None:
        """Run `act` so that whatever it raises ends only the transfer with `peer`."""
        try:
            act(*arguments)
        except (OSError, FileChanged) as error:
            if session := self.sessions.get(peer):
                self.flush()
                session.outlet.send(peer, [encode_error(ErrorCode.UNDEFINED, "the file cannot be read any more")])
                self.fail(session, str(error))
        except Exception:
            log.exception("tftp: a fault of the program; only the transfer with %s ends", address_of(peer)[0])
            if session := self.sessions.get(peer):
                self.fail(session, "a fault of the server; its log has the details")

    def act(self, session: Session, step: Step) -> None:
        """Do what the transfer says."""
        transfer = session.transfer
        match step:
            case Wait():
                pass
            case SendBlocks(first, last):
                if session.reported_at is None:
                    session.reported_at = self._clock()
                    self._tell(TransferProgressed(session.mac, _SERVICE, session.path, 0, transfer.size))
                self._send(session, first, last)
            case SendOptions():
                self.flush()
                session.outlet.send(session.peer, [encode_options(transfer.terms.granted or {})])
            case Done():
                self._end(session)
                seconds = self._clock() - session.started
                self._tell(TransferServed(session.mac, _SERVICE, session.path, transfer.size, seconds))
                return
            case Probed():
                self._end(session)
                return
            case Failed(why):
                self.fail(session, why)
                return
        session.enter(self._arena)
        self._deadlines.put(session, transfer.deadline)

    def fail(self, session: Session, why: str) -> None:
        """End it before its last byte."""
        sent = session.settle().acked_bytes
        self._end(session)
        self._tell(TransferFailed(session.mac, _SERVICE, session.path, sent, why))

    def _end(self, session: Session) -> None:
        if self.sessions.get(session.peer) is not session:
            return
        session.leave()
        del self.sessions[session.peer]
        self._unheard.pop(session, None)
        self.blocked.pop(session.peer, None)
        self._deadlines.remove(session)
        client = client_of(session.peer)
        self.of_client[client] -= 1
        if not self.of_client[client]:
            del self.of_client[client]
        self._arena.release(session.content)
        self._ended(session)

    def answer(self, count: int, now: float) -> list[int]:
        """Take the short way with what `batches` received; returns the numbers of the datagrams that are left."""
        assert self.batches is not None
        others, unsent = fast_path.answer(self.batches, count, self.sessions, now)
        for session, number in unsent:
            self._unsent(session, number)
        return others

    def flush(self) -> None:
        """Send what was put together. To be called whenever this was given something to do."""
        if not self._leaving or self.batches is None:
            return
        leaving, self._leaving = self._leaving, []
        for number, error in self.batches.send([each[0].peer for each in leaving], [each[2] for each in leaving]):
            self._unsent(leaving[number][0], error)

    def _unsent(self, session: Session, number: int) -> None:
        session.leave()
        if (number == errno.EAGAIN or number in UNCUT) and self.sessions.get(session.peer) is session:
            session.pending = session.transfer.outstanding
            self.guard(session.peer, self._pump, session)

    def _send(self, session: Session, first: int, last: int) -> None:
        terms = session.transfer.terms
        session.pending = None
        if self.batches and last - first + 1 == terms.window and session.takes_messages:
            chunk = self._arena.chunk(session.content, terms.block, first)
            if step := self._arena.step(chunk, terms.window, first):
                self._leaving.append((session, chunk, step[1]))
                if len(self._leaving) == self.batches.most:
                    self.flush()
                return
        self.flush()  # what was put together before leaves before
        session.pending = first, last
        self._pump(session)

    def _pump(self, session: Session) -> None:
        """Send what is pending until the socket is full; the rest follows when it has room."""
        if session.pending is None:
            return
        first, last = session.pending
        block = session.transfer.terms.block
        packets = self._arena.packets(session.content, block, first, last)
        first += session.outlet.send(session.peer, packets, block + _HEADER)
        # A socket of its own that is full has one client, whom the retransmission timer serves.
        session.pending = (first, last) if first <= last and session.own is None else None
        if session.pending:
            if not self.blocked:
                self._await_room()
            self.blocked[session.peer] = session

    def resume(self) -> None:
        """Send what there was no room for."""
        blocked = list(self.blocked.values())
        self.blocked.clear()
        for session in blocked:
            self.guard(session.peer, self._pump, session)

    def tick(self) -> None:
        """Retransmit and report where it is time."""
        now = self._clock()
        for session in self._deadlines.due(now):
            self.guard(session.peer, self._look, session, now)
        self.flush()

    def _look(self, session: Session, now: float) -> None:
        if session.reported_at is not None and now - session.reported_at >= _REPORT_EVERY:
            self._report(session, now)
        deadline = session.deadline
        if now < deadline:
            self._deadlines.put(session, deadline)
            return
        session.leave()
        self.act(session, session.transfer.expire(now))

    def _report(self, session: Session, now: float) -> None:
        transfer = session.settle()
        session.reported_at = now
        if transfer.acked_bytes != session.reported_bytes:
            session.reported_bytes = transfer.acked_bytes
            self._tell(TransferProgressed(session.mac, _SERVICE, session.path, transfer.acked_bytes, transfer.size))


def client_of(peer: bytes) -> bytes:
    """The address of a peer, without its port."""
    return peer[4:8]
