"""The connections of one HTTP server: how many there may be, how long each may take, and which one is next.

A client that opens many connections keeps nobody else out: an address may have only so many, and when all are taken,
the connection that has waited longest for a request is closed. What happens on one connection is decided in
services/http/conversation.py; here its bytes are read and written. asyncio's transports are not used: one of them costs
as much per connection as everything else costs per request (docs/adr/0008-http-data-plane.md).
"""

import asyncio
import contextlib
import logging
import resource
import select
import socket
import struct
import time
from collections.abc import Callable, Collection
from ipaddress import IPv4Address

from services.decision import Ignore
from services.http.conversation import ConnectionState, Conversation, NextStep, Serve
from services.http.messages import CONTINUE, Request, Response

MOST_CONNECTIONS = 2048
MOST_PER_CLIENT = 32
REQUEST_WITHIN = 10.0
"""Seconds a client has for a whole request, from when it connected or its last answer was sent; and for taking a short
answer, from when the socket's buffer was full."""

_AT_ONCE = 32  # connections accepted or served in one turn of the event loop
_CHUNK = 8 << 10  # bytes read at once
_DESCRIPTORS_EACH = 2  # the socket and the file
_OTHER_DESCRIPTORS = 250  # of everything else in the process
_PAUSE = 1.0  # seconds without accepting, after the system ran out of descriptors
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


class Connections:
    """All connections to the listening socket `tcp`, from `start` on, in the running loop.

    `begin(connection, request)` is called when the headers of a request are complete (see Conversation.advance). Where
    what it returns does not return the answer, one of `answer`, `finished` and `abort` must be called later. Requests
    on one connection are served one after another.
    """

    def __init__(self, tcp: socket.socket, begin: Callable[[Connection, Request], Serve | Ignore]) -> None:
        self._loop = asyncio.get_running_loop()
        self._listener: socket.socket | None = tcp
        self._begin = begin
        self._open: dict[int, Connection] = {}  # by descriptor
        self._per_address: dict[IPv4Address, int] = {}  # how many
        self._waiting: dict[Connection, None] = {}  # those with a deadline, the earliest first
        self._timer: asyncio.TimerHandle | None = None
        self._ready = select.epoll()
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        limited = soft != resource.RLIM_INFINITY
        # Never so many that accept(2) fails: a client that is not accepted is not told.
        self._most = max((soft - _OTHER_DESCRIPTORS) // _DESCRIPTORS_EACH, 1) if limited else MOST_CONNECTIONS

    def start(self) -> None:
        """Accept connections."""
        assert self._listener is not None
        # Inherited by each connection: a short last segment does not wait for earlier ones to be acknowledged.
        self._listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        self._ready.register(self._listener.fileno(), select.EPOLLIN)
        self._loop.add_reader(self._ready.fileno(), self._turn)

    def stop_listening(self) -> None:
        """Accept no more, and close those without a request; after an answer under way its connection is closed."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        for connection in list(self._open.values()):
            connection.last = True
            if connection.state not in (ConnectionState.ANSWERING, ConnectionState.WRITING):
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
        return sum(each.state in (ConnectionState.ANSWERING, ConnectionState.WRITING) for each in self._open.values())

    def answer(self, connection: Connection, answer: Response) -> None:
        """Answer the request under way, if its client is still there."""
        if connection.state is not ConnectionState.CLOSED:
            connection.answer(answer, time.time())
            self._write(connection)

    def finished(self, connection: Connection) -> None:
        """The answer to the request under way has been sent: on to the next request, or the end."""
        connection.finish()
        if connection.state is ConnectionState.HEAD:
            self._wait(connection)
            if connection.ending and not connection.reader.requests and not self._receive(connection):
                return  # as usual, that was the end
            if connection.readable or connection.reader.requests:
                self._loop.call_soon(self._go_on, connection)  # other connections have their turn before
        elif connection.state is ConnectionState.LINGERING:
            with contextlib.suppress(OSError):  # the client is gone
                connection.socket.shutdown(socket.SHUT_WR)
            self._wait(connection)
            self._loop.call_soon(self._go_on, connection)
        else:
            self._release(connection)

    def abort(self, connection: Connection) -> None:
        """Reset it: the peer gets nothing that has not left yet."""
        if connection.state is not ConnectionState.CLOSED:
            connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self._close(connection)

    def _turn(self) -> None:
        """Serve the connections that the kernel reports."""
        for number, events in self._ready.poll(0, _AT_ONCE):
            if self._listener is not None and number == self._listener.fileno():
                self._accept(self._listener)
            elif (connection := self._open.get(number)) is not None:
                connection.readable = True
                connection.ending |= bool(events & _ENDING)
                self._go_on(connection)

    def _go_on(self, connection: Connection) -> None:
        state = connection.state
        try:
            if state is ConnectionState.HEAD or state is ConnectionState.BODY:
                self._advance(connection)
            elif state is ConnectionState.ANSWERING:
                connection.on_input()
            elif state is ConnectionState.WRITING:
                self._write(connection)
            elif state is ConnectionState.LINGERING and connection.readable and self._receive(connection):
                self._loop.call_soon(self._go_on, connection)
        except Exception:
            log.exception("http: a fault of the program; only this connection of %s ends", connection.address)
            self.abort(connection)

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(_AT_ONCE):
            try:
                tcp, (address, _) = listener.accept()
            except BlockingIOError:
                return
            except ConnectionError:
                continue  # the client is gone again
            except OSError as error:
                log.warning("http: no connection can be accepted: %s", error.strerror)
                self._ready.unregister(listener.fileno())
                self._loop.call_later(_PAUSE, self._resume, listener)
                return
            tcp.setblocking(False)
            connection = Connection(tcp, IPv4Address(address))
            if not self._make_room(connection.address):
                tcp.close()
                continue
            self._open[connection.number] = connection
            self._per_address[connection.address] = self._per_address.get(connection.address, 0) + 1
            self._ready.register(connection.number, _EVENTS)
            self._wait(connection)

    def _resume(self, listener: socket.socket) -> None:
        if self._listener is listener:
            self._ready.register(listener.fileno(), select.EPOLLIN)

    def _make_room(self, address: IPv4Address) -> bool:
        """Whether this address may have one more connection; closes another one if that is needed."""
        if self._per_address.get(address, 0) >= MOST_PER_CLIENT:
            return False
        if len(self._open) >= min(MOST_CONNECTIONS, self._most):
            longest = next(iter(self._waiting), None)
            if longest is None:
                return False
            self._close(longest)
        return True

    def _advance(self, connection: Connection) -> None:
        """Begin to answer the next request, or read what there is of it."""
        while True:
            step = connection.advance(self._begin)
            if step is NextStep.SERVE:
                self._waiting.pop(connection, None)
                answer = connection.serve()
                if isinstance(answer, Response):
                    connection.answer(answer, time.time())
                    self._write(connection)
                else:
                    connection.on_input = answer
                return
            if step is NextStep.READ:
                if not connection.readable or not self._receive(connection):
                    return
            elif step is NextStep.CONTINUE:
                try:
                    connection.written += connection.socket.send(CONTINUE)
                except OSError:  # the client is gone, or reads nothing
                    self._close(connection)
                    return
            else:
                self.abort(connection)
                return

    def _receive(self, connection: Connection) -> bool:
        """Read; return whether anything came. Closes the connection at its end."""
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
        connection.reader.feed(data)
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
            if first.expire() is NextStep.RESET:
                self.abort(first)
            else:
                self._close(first)
        self._timer = self._loop.call_at(first.deadline, self._end_late) if self._waiting else None

    def _close(self, connection: Connection) -> None:
        if connection.state is not ConnectionState.CLOSED:
            connection.close()
            self._release(connection)

    def _release(self, connection: Connection) -> None:
        connection.socket.close()
        self._waiting.pop(connection, None)
        del self._open[connection.number]
        self._per_address[connection.address] -= 1
        if not self._per_address[connection.address]:
            del self._per_address[connection.address]
