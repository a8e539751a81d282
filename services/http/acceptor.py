"""Accepts TCP connections, as long as the system has descriptors for them.

Which of them may stay open is decided in services/http/connections.py.
"""

import asyncio
import logging
import select
import socket
from collections.abc import Iterator
from ipaddress import IPv4Address

_AT_ONCE = 32  # connections accepted in one turn of the event loop
_PAUSE = 1.0  # seconds without accepting, after the system ran out of descriptors

log = logging.getLogger(__name__)


class Acceptor:
    """The listening socket `tcp`. `ready` reports it by its `number`, from `start` on; that is -1 once it is closed."""

    def __init__(self, tcp: socket.socket, ready: select.epoll) -> None:
        self.number = tcp.fileno()
        self._tcp = tcp
        self._ready = ready

    def start(self) -> None:
        """Have connections reported."""
        # Inherited by each connection: a short last segment does not wait for earlier ones to be acknowledged.
        self._tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        self._ready.register(self.number, select.EPOLLIN)

    def close(self) -> None:
        """Accept no more. May be called twice."""
        self._tcp.close()
        self.number = -1

    def accept(self) -> Iterator[tuple[socket.socket, IPv4Address]]:
        """Accept what waits: non-blocking sockets, each with the address of its client."""
        for _ in range(_AT_ONCE):
            try:
                tcp, (address, _) = self._tcp.accept()
            except BlockingIOError:
                return
            except ConnectionError:
                continue  # the client is already gone
            except OSError as error:
                log.warning("http: no connection can be accepted: %s", error.strerror)
                self._ready.unregister(self.number)
                asyncio.get_running_loop().call_later(_PAUSE, self._resume)
                return
            tcp.setblocking(False)
            yield tcp, IPv4Address(address)

    def _resume(self) -> None:
        if self.number >= 0:
            self._ready.register(self.number, select.EPOLLIN)
