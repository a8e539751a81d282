"""The page's listening socket: whoever may not connect is closed before TLS, without a byte.

Connections are bounded in all and for each address. Beyond the bound of an address they are closed at once. Once all
places are taken, nobody is accepted: who comes waits in the kernel, first come first served, for as long as others
leave. So a flood, however fast it comes again, costs no more than the places that become free, and whoever is patient
gets in; to close connections at once would only have them come again. A TLS handshake has to end within seconds.
appliance/control/connection.py bounds what an open connection may take.
"""

import asyncio
import contextlib
import errno
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from ipaddress import IPv4Address

from appliance.control.connection import PageConnection
from appliance.errors import UserError

MOST_CONNECTIONS = 256
"""Each takes 0.3 MB of memory: asyncio has a buffer of 256 KiB for each TLS connection."""
MOST_PER_ADDRESS = 32
"""A browser has six for its pages, and one for each tab that is kept up to date."""
HANDSHAKE_SECONDS = 10.0
_GOODBYE_SECONDS = 5.0
_AT_ONCE = 64  # connections accepted in one turn of the event loop
_PAUSE = 1.0  # seconds without accepting, after the system ran out of descriptors
_FULL = 30.0  # seconds after which some of those who wait are turned away, if nobody has left
WAITING = 128
"""Connections that the kernel keeps until they are accepted. It ignores those that come then; they try again."""
_UNREAD_MS = 60_000  # milliseconds after which the kernel gives up a peer that takes no data

log = logging.getLogger(__name__)


def listen(address: IPv4Address, port: int) -> socket.socket:
    """The listening socket; raises UserError."""
    tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, True)
        tcp.bind((str(address), port))
        tcp.listen(WAITING)
    except OSError as error:
        tcp.close()
        raise UserError(
            f"the page cannot listen on {address}:{port}: {error.strerror}",
            "choose a port from 1024 on with [control] listen"
            if error.errno == errno.EACCES
            else f"see who has it: ss -ltnp sport = :{port}; choose another with [control] listen",
            code=1,
        ) from None
    tcp.setblocking(False)
    return tcp


class Door:
    """Accepts from one listening socket at a time. `admits`: whether an address may connect; `make`: the protocol of a
    new connection. `tls` may be replaced: new connections get the new one; None: plain HTTP."""

    def __init__(
        self, admits: Callable[[IPv4Address], bool], make: Callable[[], PageConnection], tls: ssl.SSLContext | None
    ) -> None:
        self.tls = tls
        self.turned_away = 0
        self._admits = admits
        self._make = make
        self._tcp: socket.socket | None = None
        self._open: Counter[IPv4Address] = Counter()
        self._greeting: set[asyncio.Task[None]] = set()
        self._rest: asyncio.TimerHandle | None = None

    @property
    def connections(self) -> int:
        """How many are open, those in their handshake included."""
        return self._open.total()

    def open(self, tcp: socket.socket) -> None:
        """Accept from this socket, and no longer from the one before."""
        self._shut()
        self._tcp = tcp
        self._watch()

    def move(self, address: IPv4Address, port: int) -> None:
        """Listen there instead; raises UserError, and then it stays where it is."""
        try:
            self.open(listen(address, port))
        except UserError:
            # It may be in its own way: one of the two is for all addresses.
            where = self._tcp.getsockname() if self._tcp else None
            if where is None or where[1] != port:
                raise
            self._shut()
            try:
                self.open(listen(address, port))
            except UserError:
                self.open(listen(IPv4Address(where[0]), where[1]))
                raise

    def close(self) -> None:
        """Accept no more. May be called twice."""
        self._shut()
        for task in self._greeting:
            task.cancel()

    def _shut(self) -> None:
        if self._tcp is not None:
            self._unwatch()
            self._tcp.close()
            self._tcp = None

    def _watch(self) -> None:
        """Accept from now on."""
        self._unwatch()
        if self._tcp is not None:
            asyncio.get_running_loop().add_reader(self._tcp, self._accept)

    def _unwatch(self) -> None:
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None
        if self._tcp is not None:
            asyncio.get_running_loop().remove_reader(self._tcp)

    def _pause(self, seconds: float, then: Callable[[], None]) -> None:
        self._unwatch()
        self._rest = asyncio.get_running_loop().call_later(seconds, then)

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            if self.connections >= MOST_CONNECTIONS:
                self._pause(_FULL, self._turn_away)
                return
            if not self._take():
                return

    def _turn_away(self) -> None:
        """Nobody has left for long: some of those who wait are told so by the end of their connection."""
        self._watch()
        for _ in range(_AT_ONCE):
            if not self._take():
                return

    def _take(self) -> bool:
        """Accept one connection, and let it in or close it; returns whether there may be more."""
        if self._tcp is None:
            return False
        try:
            tcp, (text, _port) = self._tcp.accept()
        except BlockingIOError:
            return False
        except ConnectionError:
            return True  # the client is already gone
        except OSError as error:
            log.warning("page: no connection can be accepted: %s", error.strerror)
            self._pause(_PAUSE, self._watch)
            return False
        address = IPv4Address(text)
        if self._admits(address) and self._has_room(address):
            self._let_in(tcp, address)
        else:
            self.turned_away += 1
            tcp.close()
        return True

    def _has_room(self, address: IPv4Address) -> bool:
        # A reverse proxy is one address for everybody.
        alone = self.tls is not None
        return self.connections < MOST_CONNECTIONS and (not alone or self._open[address] < MOST_PER_ADDRESS)

    def _let_in(self, tcp: socket.socket, address: IPv4Address) -> None:
        tcp.setblocking(False)
        tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, True)
        tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNREAD_MS)
        self._open[address] += 1
        task = asyncio.create_task(self._greet(tcp, address))
        self._greeting.add(task)
        task.add_done_callback(self._greeting.discard)

    async def _greet(self, tcp: socket.socket, address: IPv4Address) -> None:
        protocol = self._make()
        protocol.when_closed = lambda: self._closed(address)
        limits = {"ssl_handshake_timeout": HANDSHAKE_SECONDS, "ssl_shutdown_timeout": _GOODBYE_SECONDS}
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: protocol, tcp, ssl=self.tls, **(limits if self.tls else {})
            )
        except BaseException as error:
            if not protocol.made:
                self._closed(address)
            # A stranger's handshake is no news.
            if not isinstance(error, OSError | TimeoutError):
                raise
        finally:
            if not protocol.made:
                with contextlib.suppress(OSError):
                    tcp.close()

    def _closed(self, address: IPv4Address) -> None:
        self._open[address] -= 1
        if not self._open[address]:
            del self._open[address]
        if self._rest is not None and self.connections == MOST_CONNECTIONS - 1:
            self._watch()
