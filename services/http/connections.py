"""The connections of one HTTP server: how many, how long, whose turn it is, and silence on nonsense.

Who opens many connections, or more than there may be, keeps nobody else out: an address has only so many, and when all
are taken, the one gives way that has been waited with longest for a request. Sockets are read and written here and not
by asyncio's transports, which take as long for a connection as all the rest for a request (docs/adr/0008).
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

from services.http.messages import CONTINUE, Request, RequestReader, Response, encode

MOST_CONNECTIONS = 2048
MOST_A_CLIENT = 32
REQUEST_WITHIN = 10.0
"""Seconds, from the connection or from the last answer on, for a complete request; and, from when it is decided, for a
short answer to be taken."""

_AT_ONCE = 32  # connections that are taken, or have their turn, in one turn of the loop
_CHUNK = 8 << 10  # bytes that are read at once
_DESCRIPTORS_EACH = 2  # its socket, the file
_OTHER_DESCRIPTORS = 250  # everything else of the process
_TAKES_A_BREAK = 1.0  # seconds, when the system has no descriptor left
_EVENTS = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET
_ENDING = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER for 0 s

log = logging.getLogger(__name__)


class Connection:
    """One client's connection, from `address`.

    `heard` is called when anything comes while a request of it is `underway`; `written` counts its bytes so far.
    """

    def __init__(self, tcp: socket.socket, address: IPv4Address) -> None:
        self.socket = tcp
        self.number = tcp.fileno()
        self.address = address
        self.reader = RequestReader()
        self.underway: Request | None = None
        self.heard: Callable[[], None] = nobody_listens
        self.written = 0
        self.open = True
        self.unsent = b""  # of a short answer
        self.until = 0.0  # the loop's time when it has been waited with long enough
        self.readable = False  # there may be more to read; the kernel says so only once
        self.ending = False  # the peer says no more, or is gone
        self.lingering = False  # the last answer is out; what still comes is thrown away

    def reset(self) -> None:
        """Let the peer see that nothing was meant for it: it gets no byte that has not left yet."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)


class Connections:
    """All connections to the listening socket `tcp`, from `start` on, in the running loop.

    `begin(connection, request)` is called when a request's headers are complete; it sets `request.serve` or ends the
    connection. That is called when the request is whole, and then, at once or later, one of `answer`, `finished` and
    `abort`. Requests of one connection come one after another.
    """

    def __init__(self, tcp: socket.socket, begin: Callable[[Connection, Request], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._listener: socket.socket | None = tcp
        self._begin = begin
        self._open: dict[int, Connection] = {}  # by descriptor
        self._of_address: dict[IPv4Address, int] = {}  # how many
        self._waiting: dict[Connection, None] = {}  # for a request, the longest first
        self._timer: asyncio.TimerHandle | None = None
        self._ready = select.epoll()
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        few = soft != resource.RLIM_INFINITY
        # Never so many that accept(2) fails: nobody would be told.
        self._fit = max((soft - _OTHER_DESCRIPTORS) // _DESCRIPTORS_EACH, 1) if few else MOST_CONNECTIONS

    def start(self) -> None:
        """Take connections."""
        assert self._listener is not None
        # Inherited: a last segment that is not full does not wait for the acknowledgement of those before it.
        self._listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        self._ready.register(self._listener.fileno(), select.EPOLLIN)
        self._loop.add_reader(self._ready.fileno(), self._turn)

    def stop_listening(self) -> None:
        """Take no more, close those that wait; answers under way are the last of their connections."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        for connection in list(self._waiting):
            if not connection.unsent:
                self._close(connection)

    def close(self) -> None:
        """End what is left."""
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
        return sum(connection.underway is not None for connection in self._open.values())

    def answer(self, connection: Connection, answer: Response) -> None:
        """Answer the request under way, if its client is still there."""
        if connection.open:
            connection.unsent = self.encoded(connection, answer)
            self._flush(connection)

    def encoded(self, connection: Connection, answer: Response) -> bytes:
        """The answer's bytes, for the request under way; after one that says so the connection is closed."""
        keep_alive = self._keeps(connection)
        request = connection.underway
        assert request is not None
        if request.method == "HEAD":
            size = len(answer.body) if answer.size is None else answer.size
            answer = Response(answer.status, answer.fields, size=size)
        return encode(answer, time.time(), keep_alive=keep_alive)

    def finished(self, connection: Connection) -> None:
        """The answer to the request under way has been sent: the next one's turn, or the end."""
        keep = self._keeps(connection)
        whole = connection.underway is None or connection.underway.complete
        connection.underway, connection.heard = None, nobody_listens
        connection.reader.requests.popleft()
        if keep:
            self._wait(connection)
            if connection.ending and not connection.reader.requests:
                self._receive(connection)  # the end, as a rule
            if connection.open and (connection.readable or connection.reader.requests):
                self._loop.call_soon(self._go_on, connection)  # others have their turn in between
        elif whole:
            self._close(connection)
        else:
            # To close it now would reset it, and the client might never see the answer to what it is still sending.
            connection.lingering = True
            with contextlib.suppress(OSError):  # it is gone
                connection.socket.shutdown(socket.SHUT_WR)
            self._wait(connection)
            self._loop.call_soon(self._go_on, connection)

    def abort(self, connection: Connection) -> None:
        """Reset it."""
        if connection.open:
            connection.reset()
            self._close(connection)

    def _keeps(self, connection: Connection) -> bool:
        """Whether another request can follow the one under way."""
        request, reader = connection.underway, connection.reader
        if self._listener is None or request is None or not request.keep_alive or not request.complete:
            return False
        return not reader.broken or len(reader.requests) > 1

    def _turn(self) -> None:
        """Let those have their turn of which the kernel says something."""
        for number, events in self._ready.poll(0, _AT_ONCE):
            if self._listener is not None and number == self._listener.fileno():
                self._accept(self._listener)
            elif (connection := self._open.get(number)) is not None:
                connection.readable = True
                connection.ending |= bool(events & _ENDING)
                self._go_on(connection)

    def _go_on(self, connection: Connection) -> None:
        try:
            if connection.unsent:
                self._flush(connection)
            elif connection.underway is not None:
                connection.heard()
            elif connection.lingering:
                if connection.readable and self._receive(connection):
                    self._loop.call_soon(self._go_on, connection)
            elif connection.open:
                self._advance(connection)
        except OSError:
            self._close(connection)
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
                continue  # it is gone again
            except OSError as error:
                log.warning("http: no connection can be taken: %s", error.strerror)
                self._ready.unregister(listener.fileno())
                self._loop.call_later(_TAKES_A_BREAK, self._resume, listener)
                return
            tcp.setblocking(False)
            connection = Connection(tcp, IPv4Address(address))
            if not self._makes_room(connection.address):
                tcp.close()
                continue
            self._open[connection.number] = connection
            self._of_address[connection.address] = self._of_address.get(connection.address, 0) + 1
            self._ready.register(connection.number, _EVENTS)
            self._wait(connection)

    def _resume(self, listener: socket.socket) -> None:
        if self._listener is listener:
            self._ready.register(listener.fileno(), select.EPOLLIN)

    def _makes_room(self, address: IPv4Address) -> bool:
        """Whether one more connection from there may be; closes another one where that is needed."""
        if self._of_address.get(address, 0) >= MOST_A_CLIENT:
            return False
        if len(self._open) >= min(MOST_CONNECTIONS, self._fit):
            longest = next(iter(self._waiting), None)
            if longest is None:
                return False
            self._close(longest)
        return True

    def _advance(self, connection: Connection) -> None:
        """Begin to answer the next request, or read what there is of it."""
        requests = connection.reader.requests
        while connection.open:
            if requests:
                request = requests[0]
                if request.serve is None:
                    self._begin(connection, request)
                    if request.serve is None:
                        self.abort(connection)
                        return
                    if not request.whole and request.fields.get("expect", "").lower() == "100-continue":
                        connection.written += connection.socket.send(CONTINUE)
                if request.whole:
                    self._waiting.pop(connection, None)
                    connection.underway = request
                    request.serve()
                    return
            if connection.reader.broken:
                self.abort(connection)  # it cannot be told whether the sender of nonsense may have an answer
                return
            if not connection.readable or not self._receive(connection):
                return

    def _receive(self, connection: Connection) -> bool:
        """Read; whether anything came."""
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
        # Less than there was room for: all that had come. But the end of it, once announced, is not again.
        connection.readable = len(data) == _CHUNK or connection.ending
        if not connection.lingering:
            connection.reader.feed(data)
        return True

    def _flush(self, connection: Connection) -> None:
        """Write a short answer; the client has as long to take it as for its next request."""
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
        """From now on the connection may give way to others, and ends when its time is over."""
        connection.until = self._loop.time() + REQUEST_WITHIN
        self._waiting.pop(connection, None)
        self._waiting[connection] = None
        if self._timer is None:
            self._timer = self._loop.call_at(connection.until, self._end_late_ones)

    def _end_late_ones(self) -> None:
        now = self._loop.time()
        while self._waiting and (first := next(iter(self._waiting))).until <= now:
            if first.unsent:
                self.abort(first)
            else:
                self._close(first)
        self._timer = self._loop.call_at(first.until, self._end_late_ones) if self._waiting else None

    def _close(self, connection: Connection) -> None:
        if not connection.open:
            return
        connection.open = False
        connection.reader.close()
        connection.socket.close()
        self._waiting.pop(connection, None)
        del self._open[connection.number]
        self._of_address[connection.address] -= 1
        if not self._of_address[connection.address]:
            del self._of_address[connection.address]


def nobody_listens() -> None:
    """What is `heard` where nobody has to know."""
