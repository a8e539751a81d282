"""The connections of one HTTP server: reads and writes them, in turn and within their deadlines.

What happens on one connection is decided in services/http/conversation.py. A client that opens many connections keeps
nobody else out: each address may have a limited number (services/http/connection_limits.py), and when all are taken,
the connection that has waited longest for a request is closed. Why not asyncio's transports:
docs/adr/0008-http-data-plane.md.
"""

import asyncio
import contextlib
import logging
import select
import socket
import struct
import time
from collections import deque
from collections.abc import Callable, Collection
from ipaddress import IPv4Address

from services.decision import Ignore
from services.http.acceptor import Acceptor
from services.http.connection_limits import ConnectionLimits
from services.http.conversation import (
    ANSWERING,
    ASK_FOR_BODY,
    BODY,
    CLOSED,
    HEAD,
    LINGERING,
    READ,
    SERVE,
    WRITING,
    Conversation,
    Serve,
)
from services.http.messages import CONTINUE, Request, Response

REQUEST_WITHIN = 10.0
"""Seconds a client has for a whole request, from when it connected or its last answer was sent; and for taking a short
answer, from when the socket's buffer was full."""

_AT_ONCE = 32  # connections served in one turn of the event loop, of those with news, and of those that had their turn
_CHUNK = 8 << 10  # bytes read from a connection in its turn
_EVENTS = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET
_ENDING = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER for 0 s

log = logging.getLogger(__name__)


class Connection(Conversation):
    """A conversation over a socket. `written` counts the bytes written to it so far."""

    def __init__(self, tcp: socket.socket, address: IPv4Address) -> None:
        super().__init__(address)
        self.socket = tcp
        self.number = tcp.fileno()
        self.written = 0
        self.deadline = 0.0  # in the loop's time
        # What the kernel reported. It reports each thing only once (EPOLLET), so it is kept.
        self.readable = False  # there may be more to read
        self.ending = False  # the peer sends no more, or is gone
        self.queued = False  # it waits for its next turn


class Connections:
    """All connections to the listening socket `tcp`, from `start` on, in the running loop.

    `begin(connection, request)` is called when the headers of a request are complete (see Conversation.advance). If the
    Serve that it returns has no answer yet, then `answer`, `finished` or `abort` must be called later. Requests on one
    connection are served one after another.

    However fast a client sends, and whatever: in one turn of the event loop one piece is read from its connection, or
    one request of it is answered. If there is more, the connection queues behind the others.
    """

    def __init__(self, tcp: socket.socket, begin: Callable[[Connection, Request], Serve | Ignore]) -> None:
        self._loop = asyncio.get_running_loop()
        self._ready = select.epoll()
        self._acceptor = Acceptor(tcp, self._ready)
        self._begin = begin
        self._open: dict[int, Connection] = {}  # by descriptor
        self._limits = ConnectionLimits()
        self._waiting: dict[Connection, None] = {}  # those with a deadline, the earliest first
        self._queue: deque[Connection] = deque()  # those that had their turn, and have more
        self._answered: list[Connection] = []  # those whose answer is written at the end of this turn
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Accept connections."""
        self._acceptor.start()
        self._loop.add_reader(self._ready.fileno(), self._turn)

    def stop_listening(self) -> None:
        """Accept no more. Connections without a request are closed now, the others when they have been answered."""
        self._acceptor.close()
        for connection in list(self._open.values()):
            connection.last = True
            if connection.state not in (ANSWERING, WRITING):
                self._close(connection)

    def close(self) -> None:
        """End all that are left."""
        self.stop_listening()
        for connection in list(self._open.values()):
            self.abort(connection)
        if self._timer is not None:
            self._timer.cancel()
        self._loop.remove_reader(self._ready.fileno())
        self._ready.close()

    @property
    def all(self) -> Collection[Connection]:
        """Those that are open."""
        return self._open.values()

    @property
    def underway(self) -> int:
        """How many have a request that is being answered."""
        return sum(each.state in (ANSWERING, WRITING) for each in self._open.values())

    def answer(self, connection: Connection, answer: Response) -> None:
        """Answer the request under way, if its client is still there."""
        if connection.state is not CLOSED:
            connection.answer(answer, time.time())
            self._write(connection)

    def finished(self, connection: Connection) -> None:
        """The answer to the request under way has been sent: on to the next request, or the end."""
        connection.finish()
        if connection.state is HEAD:
            self._wait(connection)
            if connection.ending and not connection.reader.requests and not self._receive(connection):
                return  # as usual, that was the end
            if connection.readable or connection.reader.requests:
                self._queue_up(connection)
        elif connection.state is LINGERING:
            with contextlib.suppress(OSError):  # the client is gone
                connection.socket.shutdown(socket.SHUT_WR)
            self._wait(connection)
            self._queue_up(connection)
        else:
            self._release(connection)

    def abort(self, connection: Connection) -> None:
        """Reset the connection: what has not left yet is never sent."""
        if connection.state is not CLOSED:
            connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self._close(connection)

    def _turn(self) -> None:
        """Serve the connections that the kernel reports."""
        for number, events in self._ready.poll(0, _AT_ONCE):
            if number == self._acceptor.number:
                self._accept()
            elif (connection := self._open.get(number)) is not None:
                connection.readable = True
                connection.ending |= bool(events & _ENDING)
                if not connection.queued:
                    self._go_on(connection)
        self._write_answers()

    def _queue_up(self, connection: Connection) -> None:
        """Go on with the connection in a later turn: others go first."""
        if connection.queued:
            return
        connection.queued = True
        self._queue.append(connection)
        if len(self._queue) == 1:
            self._loop.call_soon(self._serve_queue)

    def _serve_queue(self) -> None:
        for _ in range(min(len(self._queue), _AT_ONCE)):
            connection = self._queue[0]  # it leaves the queue after its turn, so that nobody starts this a second time
            connection.queued = False
            if connection.state is not CLOSED:
                self._go_on(connection)
            self._queue.popleft()
        self._write_answers()
        if self._queue:
            self._loop.call_soon(self._serve_queue)

    def _write_answers(self) -> None:
        """Write the answers of this turn, all together: that wakes another CPU once, not once for each."""
        answered, self._answered = self._answered, []
        for connection in answered:
            if connection.state is WRITING:
                self._go_on(connection)

    def _go_on(self, connection: Connection) -> None:
        state = connection.state
        try:
            if state is HEAD or state is BODY:
                self._advance(connection)
            elif state is ANSWERING:
                connection.on_input()
            elif state is WRITING:
                self._write(connection)
            elif state is LINGERING and self._receive(connection):
                self._queue_up(connection)
        except Exception:
            log.exception("http: internal error; the connection of %s is closed", connection.address)
            self.abort(connection)

    def _accept(self) -> None:
        for tcp, address in self._acceptor.accept():
            if not self._make_room(address):
                tcp.close()
                continue
            connection = Connection(tcp, address)
            self._open[connection.number] = connection
            self._limits.opened(address)
            self._ready.register(connection.number, _EVENTS)
            self._wait(connection)

    def _make_room(self, address: IPv4Address) -> bool:
        """Whether this address may have one more connection; closes another one if that is needed."""
        if not self._limits.allows(address):
            return False
        if self._limits.reached():
            longest = next(iter(self._waiting), None)
            if longest is None:
                return False
            self._close(longest)
        return True

    def _advance(self, connection: Connection) -> None:
        """Read a piece if that is needed, and begin to answer the next request if it is whole."""
        read = False
        while True:
            step = connection.advance(self._begin)
            if step is SERVE:
                self._waiting.pop(connection, None)
                answer = connection.serve()
                if isinstance(answer, Response):
                    connection.answer(answer, time.time())
                    self._answered.append(connection)
                else:
                    connection.on_input = answer
                return
            if step is READ:
                if read:
                    if connection.readable:
                        self._queue_up(connection)
                    return
                if not self._receive(connection):
                    return
                read = True
            elif step is ASK_FOR_BODY:
                try:
                    connection.written += connection.socket.send(CONTINUE)
                except OSError:  # the client is gone, or reads nothing
                    self._close(connection)
                    return
            else:
                self.abort(connection)
                return

    def _receive(self, connection: Connection) -> bool:
        """Read what has come; return whether anything has. Closes the connection if the client has hung up."""
        if not connection.readable:
            return False
        try:
            data = connection.socket.recv(_CHUNK)
        except BlockingIOError:
            connection.readable = False
            return False
        except OSError:
            data = b""
        if not data:
            self._close(connection)
            return False
        # Less than asked for: that was all. But the end of input, once reported, is not reported again.
        connection.readable = len(data) == _CHUNK or connection.ending
        if connection.state is not LINGERING:
            connection.reader.feed(data)
        elif connection.throw_away(len(data)):
            self._close(connection)
            return False
        return True

    def _write(self, connection: Connection) -> None:
        """Write the rest of a short answer; the client has as long to take it as for its next request."""
        try:
            taken = connection.socket.send(connection.unsent)
        except BlockingIOError:
            taken = 0
        except OSError:
            self._close(connection)
            return
        connection.written += taken
        connection.unsent = connection.unsent[taken:]
        if not connection.unsent:
            self.finished(connection)
        elif connection not in self._waiting:
            self._ready.modify(connection.number, _EVENTS | select.EPOLLOUT)
            self._wait(connection)

    def _wait(self, connection: Connection) -> None:
        """From now on the connection has a deadline, and may be closed before to make room for others."""
        connection.deadline = self._loop.time() + REQUEST_WITHIN
        self._waiting.pop(connection, None)
        self._waiting[connection] = None
        if self._timer is None:
            self._timer = self._loop.call_at(connection.deadline, self._end_late)

    def _end_late(self) -> None:
        now = self._loop.time()
        while self._waiting and (first := next(iter(self._waiting))).deadline <= now:
            if first.half_answered():
                self.abort(first)
            else:
                self._close(first)
        self._timer = self._loop.call_at(first.deadline, self._end_late) if self._waiting else None

    def _close(self, connection: Connection) -> None:
        if connection.state is not CLOSED:
            connection.close()
            self._release(connection)

    def _release(self, connection: Connection) -> None:
        connection.socket.close()
        self._waiting.pop(connection, None)
        del self._open[connection.number]
        self._limits.closed(connection.address)
