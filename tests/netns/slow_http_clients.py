"""Slow HTTP clients: hundreds of connections that send or read a few bytes now and then."""

import contextlib
import resource
import socket
import threading
from collections.abc import Iterator, Sequence
from typing import Self

from tests.netns.inside import inside
from tests.room.namespaces import Namespace
from tests.room.room import BOX

_TURN = 0.5  # seconds between two bytes of one connection
_SMALL = 2048


class SlowClients:
    """`count` connections from each of these addresses. Each sends `first`, then `more` each turn; or it reads `takes`
    bytes per turn. Within the context, a connection that the server closes is opened again."""

    def __init__(
        self,
        host: Namespace,
        addresses: Sequence[str],
        count: int,
        first: bytes = b"",
        more: bytes = b"",
        takes: int = 0,
    ) -> None:
        self.ended = 0
        """How many connections the server has closed so far."""
        self.turns = 0
        self._host = host
        self._wanted = [address for address in addresses for _ in range(count)]
        self._first = first
        self._more = more
        self._takes = takes
        self._connections: list[socket.socket | None] = [None] * len(self._wanted)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._trickle)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def left(self) -> int:
        """How many are still open; call it after the context."""
        self._look()
        return sum(each is not None for each in self._connections)

    def close(self) -> None:
        """Close all connections."""
        for each in self._connections:
            if each is not None:
                each.close()

    def _trickle(self) -> None:
        with inside(self._host):
            while not self._over.is_set():
                for number, address in enumerate(self._wanted):
                    if self._connections[number] is None:
                        with contextlib.suppress(OSError):
                            self._connections[number] = self._open(address)
                self.turns += 1
                self._over.wait(_TURN)
                self._look()

    def _look(self) -> None:
        for number, each in enumerate(self._connections):
            if each is not None and not self._goes_on(each):
                self._connections[number] = None
                self.ended += 1

    def _open(self, address: str) -> socket.socket:
        tcp = socket.socket()
        try:
            tcp.settimeout(1.0)
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL)
            tcp.bind((address, 0))
            tcp.connect((str(BOX), 80))
            tcp.sendall(self._first)
            tcp.setblocking(False)
        except OSError:
            tcp.close()
            raise
        return tcp

    def _goes_on(self, tcp: socket.socket) -> bool:
        try:
            if self._more:
                tcp.send(self._more)
            if tcp.recv(self._takes or 1, 0 if self._takes else socket.MSG_PEEK):
                return True
        except BlockingIOError:
            return True
        except OSError:
            pass
        tcp.close()
        return False


@contextlib.contextmanager
def many_descriptors() -> Iterator[None]:
    """Raise this process's soft limit of open files to the hard one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
