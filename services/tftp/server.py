"""The TFTP data plane: its socket, its timer, and who gets what. Read-only (RFC 1350, 2347-2349, 7440).

One socket on the server's port serves every client (as dnsmasq's --tftp-single-port): clients only insist that the port
does not change within a transfer, and a firewall or NAT between sees one flow. Sessions are keyed by the peer's address
and port. With `ports` = "session" each transfer has a port of its own, as RFC 1350 has it. Who may read is asked of
`admit`; a peer that is not admitted gets not one byte, not even an ERROR.
"""

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Callable
from functools import lru_cache, partial
from ipaddress import IPv4Address
from sys import intern
from typing import Literal

from services import sieve
from services.datagrams import Batches, Outlet, Unavailable, address_of, path_mtu, peer_of, sender_beside
from services.decision import Ignore, Reason
from services.ethernet import MacAddress
from services.events import Event, Ignored
from services.sockets import BindError, bind_udp
from services.tftp.arena import Arena
from services.tftp.deadlines import TICK
from services.tftp.files import Files
from services.tftp.packet import Ack, Error, ErrorCode, ReadRequest, WriteRequest, decode, encode_error
from services.tftp.paths import BootPath, parse
from services.tftp.session import Session
from services.tftp.transfer import HEADERS, LARGEST_BLOCK, Terms, Transfer, negotiate
from services.tftp.transfers import Transfers, client_of

MOST_SESSIONS = 10_000
MOST_SESSIONS_A_CLIENT = 16  # a PC switched off and on leaves one behind for a minute each time

_SERVICE = "tftp"
_BATCH = 64  # datagrams a call
_ROUNDS = 16  # calls before the loop may turn to something else
_FEW = 8  # less than that in a call: hardly any has come since
_LONGEST_DATAGRAM = 1024  # longer ones are cut, and then too long for a request
_BUFFER = 4 << 20  # a room of 500 PCs switched on together sends its requests within a few milliseconds
# Read and write requests, ACK and ERROR: what else there is, no reader sends.
_HEARD = sieve.datagrams([sieve.Field(0, 2, (1, 2, 4, 5))])
_MODES = ("octet", "netascii")
_REFUSALS = {
    Reason.NO_FILE: (ErrorCode.NOT_FOUND, "file not found"),
    Reason.OUTSIDE_ROOT: (ErrorCode.ACCESS_VIOLATION, "path outside the boot root"),
    Reason.UNREADABLE: (ErrorCode.ACCESS_VIOLATION, "file not readable"),
    Reason.READ_ONLY: (ErrorCode.ACCESS_VIOLATION, "this server takes no files"),
    Reason.MALFORMED: (ErrorCode.ILLEGAL_OPERATION, "unknown transfer mode"),
}

Ports = Literal["shared", "session"]

log = logging.getLogger(__name__)


class TftpServer:
    """Serves `files`; a first path component of twelve hex digits claims a MAC address.

    `admit(claimed, peer)` names the client or says why it gets nothing; `emit` takes what happened. Both must return at
    once. `port` 0 takes a free port, which `port` tells after `open`. Servers may share an `arena`; `clock` counts
    seconds, monotonic ones.
    """

    def __init__(
        self,
        address: IPv4Address,
        files: Files,
        *,
        admit: Callable[[MacAddress | None, IPv4Address], MacAddress | Ignore],
        emit: Callable[[Event], None],
        port: int = 69,
        ports: Ports = "shared",
        arena: Arena | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.address = address
        self.port = port
        self._files = files
        self._admit = admit
        self._emit = emit
        self._ports = ports
        self._arena = arena or Arena()
        self._clock = clock
        self._transfers = Transfers(
            self._arena, clock=clock, tell=self._tell, ended=self._ended, await_room=self._await_room
        )
        self._sessions = self._transfers.sessions
        self._blocked = self._transfers.blocked
        self._socket: socket.socket | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._draining = False
        self._idle = asyncio.Event()

    def open(self) -> None:
        """Bind the port and serve in the running event loop; raises BindError."""
        self._socket = bind_udp(self.address, self.port)
        sieve.attach(self._socket, _HEARD)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        self.port = self._socket.getsockname()[1]
        self._draining = False
        try:
            self._sender = sender_beside(self._socket)
        except OSError as error:
            log.info("tftp: sends from the socket that hears: %s", error)
            self._sender = self._socket
        self._sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        self._outlet = Outlet(self._sender)
        try:
            self._transfers.batches = Batches(self._socket, self._sender, _LONGEST_DATAGRAM, _BATCH)
            how = "in batches"
        except Unavailable as why:
            how = f"one by one ({why})"
        windows = "in one call (GSO)" if self._outlet.cuts else "packet by packet (no UDP_SEGMENT in this kernel)"
        log.info("tftp: datagrams %s, windows %s", how, windows)
        asyncio.get_running_loop().add_reader(
            self._socket, self._receive if self._transfers.batches else self._receive_one_by_one
        )

    def close(self) -> None:
        """Stop at once; transfers under way fail. Does nothing when closed already."""
        if self._socket is None:
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._socket)
        loop.remove_writer(self._sender)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for session in list(self._sessions.values()):
            self._transfers.fail(session, "the server stopped")
        self._socket.close()
        self._sender.close()
        self._socket = self._transfers.batches = None

    async def drain(self, seconds: float) -> None:
        """Take no more requests, let the transfers under way finish for at most `seconds`, then close."""
        self._draining = True
        self._idle.clear()
        if self._sessions:
            try:
                await asyncio.wait_for(self._idle.wait(), seconds)
            except TimeoutError:
                log.info("tftp: %d transfers were cut off by the stop", len(self._sessions))
        self.close()

    def _tell(self, event: Event) -> None:
        try:
            self._emit(event)
        except Exception:
            log.exception("tftp: an event could not be recorded; the transfer goes on")

    def _receive(self) -> None:
        for _ in range(_ROUNDS):
            batches = self._transfers.batches
            if batches is None:
                break
            try:
                count = batches.receive()
            except BlockingIOError:
                return
            except OSError:
                continue  # an ICMP error about an earlier packet of ours: that transfer's timer deals with it
            for number in self._transfers.answer(count, self._clock()):
                peer, datagram = batches.datagram(number)
                self._transfers.guard(peer, self._answer, datagram, peer)
            self._transfers.flush()
            if count < _FEW:
                return

    def _receive_one_by_one(self) -> None:
        for _ in range(_BATCH):
            if self._socket is None:
                return
            try:
                datagram, (address, port) = self._socket.recvfrom(_LONGEST_DATAGRAM)
            except BlockingIOError:
                return
            except OSError:
                continue
            peer = peer_of(IPv4Address(address), port)
            self._transfers.guard(peer, self._answer, datagram, peer)

    def _receive_own(self, own: socket.socket, peer: bytes) -> None:
        for _ in range(_BATCH):
            try:
                datagram = own.recv(_LONGEST_DATAGRAM)
            except BlockingIOError:
                return
            except OSError:
                if own.fileno() < 0:
                    return
                continue
            self._transfers.guard(peer, self._answer, datagram, peer)
        self._transfers.flush()

    def _answer(self, datagram: bytes, peer: bytes) -> None:
        session = self._sessions.get(peer)
        match decode(datagram):
            case Ack(block):
                if session:
                    session.leave()
                    self._transfers.act(session, session.transfer.acknowledge(block, self._clock()))
            case ReadRequest() as request:
                self._read(request, datagram, peer)
            case WriteRequest(name):
                self._refuse_write(parse(name), peer)
            case Error(code, message):
                if session:
                    session.leave()
                    self._transfers.act(session, session.transfer.abort(code, message))
            case Ignore(reason):
                self._tell(Ignored(_SERVICE, address_of(peer)[0], reason))

    def _admitted(self, path: BootPath, peer: bytes) -> MacAddress | Ignore:
        address = IPv4Address(client_of(peer))
        decision = self._admit(path.claimed, address)
        if isinstance(decision, Ignore):
            self._tell(Ignored(_SERVICE, str(path.claimed or address), decision.reason, str(path)))
        return decision

    def _refuse_write(self, path: BootPath, peer: bytes) -> None:
        mac = self._admitted(path, peer)
        if isinstance(mac, MacAddress):
            self._refuse(mac, peer, path, Reason.READ_ONLY)

    def _refuse(self, mac: MacAddress, peer: bytes, path: BootPath, reason: Reason) -> None:
        self._tell(Ignored(_SERVICE, str(mac), reason, str(path)))
        self._outlet.send(peer, [encode_error(*_REFUSALS.get(reason, (ErrorCode.NOT_FOUND, reason.value)))])

    def _read(self, request: ReadRequest, datagram: bytes, peer: bytes) -> None:
        path = parse(request.name)
        mac = self._admitted(path, peer)
        if isinstance(mac, Ignore):
            return
        now = self._clock()
        if session := self._sessions.get(peer):
            session.leave()
            if session.request == hash(datagram) and not session.transfer.stalled(now):
                self._transfers.act(session, session.transfer.repeat(now))
                return
            # Firmware that always asks from the same port: the old transfer's last ACK was lost, or the PC was reset.
            self._transfers.act(session, session.transfer.replace())
        if self._draining or self._crowded(peer):
            # Silence, not an ERROR: the client asks again, and there may be room then.
            reason = Reason.STOPPING if self._draining else Reason.TOO_MANY
            self._tell(Ignored(_SERVICE, str(mac), reason, str(path)))
            return
        if request.mode not in _MODES:
            self._refuse(mac, peer, path, Reason.MALFORMED)
            return
        file = self._files.open(path, mac, IPv4Address(client_of(peer)))
        if isinstance(file, Ignore):
            self._refuse(mac, peer, path, file.reason)
            return
        content = self._arena.take(file)
        try:
            outlet, own = self._way_to(peer)
        except (OSError, BindError) as error:
            self._arena.release(content)
            log.warning("tftp: no port for one more transfer: %s", error)
            self._tell(Ignored(_SERVICE, str(mac), Reason.TOO_MANY, str(path)))
            return
        terms = _terms(tuple(request.options.items()), content.size, _largest_block(peer))
        transfer = Transfer(terms, content.size, now)
        session = Session(peer, mac, intern(str(path)), hash(datagram), content, transfer, outlet, own, now)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(TICK, self._tick)
        self._transfers.begin(session)

    def _way_to(self, peer: bytes) -> tuple[Outlet, socket.socket | None]:
        if self._ports == "shared":
            return self._outlet, None
        own = bind_udp(self.address, 0)
        try:
            own.connect(address_of(peer))
            asyncio.get_running_loop().add_reader(own, partial(self._receive_own, own, peer))
        except OSError:
            own.close()
            raise
        return Outlet(own), own

    def _crowded(self, peer: bytes) -> bool:
        of_client = self._transfers.of_client.get(client_of(peer), 0)
        return len(self._sessions) >= MOST_SESSIONS or of_client >= MOST_SESSIONS_A_CLIENT

    def _ended(self, session: Session) -> None:
        if session.own is not None:
            asyncio.get_running_loop().remove_reader(session.own)
            session.own.close()
        if not self._sessions:
            self._idle.set()

    def _await_room(self) -> None:
        asyncio.get_running_loop().add_writer(self._sender, self._unblock)

    def _unblock(self) -> None:
        asyncio.get_running_loop().remove_writer(self._sender)
        self._transfers.resume()

    def _tick(self) -> None:
        self._transfers.tick()
        self._timer = asyncio.get_running_loop().call_later(TICK, self._tick) if self._sessions else None


@lru_cache(maxsize=256)
def _terms(options: tuple[tuple[str, str], ...], size: int, largest: int) -> Terms:
    # A room of PCs asks for the same file in the same way, and shares what it was granted.
    return negotiate(dict(options), size, largest)


def _largest_block(peer: bytes) -> int:
    with contextlib.suppress(OSError):
        return path_mtu(peer) - HEADERS
    return LARGEST_BLOCK
