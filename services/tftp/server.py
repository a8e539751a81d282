"""The TFTP data plane: its sockets and its timer. What a datagram gets is decided in responder.py.

One socket on the server's port serves every client (like dnsmasq's --tftp-single-port): clients only insist that the
port does not change within a transfer, and a firewall or NAT sees a single flow. Sessions are keyed by the peer's
address and port. With `ports` = "session" each transfer has a port of its own, as in RFC 1350.
"""

import asyncio
import logging
import socket
import time
from collections.abc import Callable
from functools import partial
from ipaddress import IPv4Address
from typing import Literal

from services.decision import Ignore, Reason
from services.draining import drained
from services.ethernet import MacAddress
from services.events import Event
from services.linux.busy_poll import BusyPoll
from services.linux.sockets import BindError
from services.linux.udp_batches import WindowSender, peer_of
from services.tftp.content_cache import ContentCache
from services.tftp.due_sessions import TICK
from services.tftp.files import Files
from services.tftp.ports import LONGEST_DATAGRAM, SharedPort, largest_block, open_own_port
from services.tftp.responder import Responder
from services.tftp.session import Session
from services.tftp.sessions import Sessions
from services.tftp.transfer import LARGEST_BLOCK_OF_ALL

_MOST_SINGLE = 64  # datagrams received one by one before the event loop may do something else
_MOST_ROUNDS = 64  # batches before it may
_LONGEST_TURN = 0.002  # seconds before it may
_SMALL_BATCH = 8  # datagrams; after a smaller batch, hardly anything has arrived meanwhile
Ports = Literal["shared", "session"]

log = logging.getLogger(__name__)


class TftpServer:
    """Serves `files`; a first path component of twelve hex digits claims a MAC address.

    `admit(claimed, address)` names the client or says why it gets nothing; `emit` takes events. Both must return at
    once. With `port` 0 a free port is taken; after `open`, `port` is its number. No block has more than
    `most_in_block` bytes, nor more than the path takes unfragmented. Servers may share a `cache`. `clock` counts
    monotonic seconds.
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
        most_in_block: int = LARGEST_BLOCK_OF_ALL,
        cache: ContentCache | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.address = address
        self.port = port
        self._emit = emit
        self._clock = clock
        cache = cache or ContentCache()
        self._sessions = Sessions(
            cache,
            clock=clock,
            emit=self._emit_guarded,
            ended=self._ended,
            await_room=self._await_room,
            await_tick=self._await_tick,
        )
        self._responder = Responder(
            files,
            self._sessions,
            cache,
            admit=admit,
            sender_for=self._own_sender if ports == "session" else self._shared_sender,
            own_ports=ports == "session",
            send_error=self._send_error,
            largest_block=lambda peer: min(largest_block(peer), most_in_block),
            emit=self._emit_guarded,
            clock=clock,
        )
        self._open: SharedPort | None = None
        self._own_sockets: dict[bytes, socket.socket] = {}  # of transfers with a port of their own, by peer
        self._timer: asyncio.TimerHandle | None = None

    def open(self) -> None:
        """Bind the port and serve in the running event loop; raises BindError."""
        port = SharedPort.open(self.address, self.port)
        self.port = port.number
        self._sender = port.sender
        self._sessions.batches = port.batches
        self._responder.stopping = False
        loop = asyncio.get_running_loop()
        self._busy_poll = BusyPoll(loop)
        self._open = port
        loop.add_reader(port.receiver, self._receive if port.batches else self._receive_one_by_one)

    def close(self) -> None:
        """Stop at once; transfers under way fail. Does nothing when closed already."""
        if self._open is None:
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._open.receiver)
        loop.remove_writer(self._open.socket_to_send)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for session in list(self._sessions.by_peer.values()):
            self._sessions.fail(session, "the server stopped")
        self._open.close()
        self._open = self._sessions.batches = None

    async def drain(self, seconds: float) -> None:
        """Refuse new requests and let the transfers under way finish, for at most `seconds` and only while they make
        progress; then close."""
        self._responder.stopping = True
        if not await drained(self._progress, seconds):
            log.info("tftp: the stop cut off %d transfers", len(self._sessions.by_peer))
        self.close()

    def _progress(self) -> list[int]:
        return [session.settle().acked_bytes for session in self._sessions.by_peer.values()]

    def _emit_guarded(self, event: Event) -> None:
        try:
            self._emit(event)
        except Exception:
            log.exception("tftp: an event could not be recorded; the transfer goes on")

    def _receive(self) -> None:
        sessions, answer = self._sessions, self._responder.answer
        until = self._clock() + _LONGEST_TURN
        for _ in range(_MOST_ROUNDS):
            batches = sessions.batches
            if batches is None:
                return
            try:
                count = batches.receive()
            except BlockingIOError:
                return
            except OSError:
                continue  # an ICMP error about an earlier packet of ours: that transfer's timer deals with it
            now = self._clock()
            for number in sessions.answer_expected(count, now):
                peer, datagram = batches.datagram(number)
                sessions.guard(peer, answer, datagram, peer)
            sessions.flush()
            if now >= until:
                return
            if count < _SMALL_BATCH and not (sessions.by_peer and self._busy_poll.ready_soon()):
                return

    def _receive_one_by_one(self) -> None:
        for _ in range(_MOST_SINGLE):
            if self._open is None:
                return
            try:
                datagram, (address, port) = self._open.receiver.recvfrom(LONGEST_DATAGRAM)
            except BlockingIOError:
                return
            except OSError:
                continue
            peer = peer_of(IPv4Address(address), port)
            self._sessions.guard(peer, self._responder.answer, datagram, peer)

    def _receive_at_own_port(self, own: socket.socket, peer: bytes) -> None:
        for _ in range(_MOST_SINGLE):
            try:
                datagram = own.recv(LONGEST_DATAGRAM)
            except BlockingIOError:
                return
            except OSError:
                if own.fileno() < 0:
                    return
                continue
            self._sessions.guard(peer, self._responder.answer, datagram, peer)
        self._sessions.flush()

    def _send_error(self, peer: bytes, datagram: bytes) -> None:
        self._sender.send(peer, [datagram])

    def _shared_sender(self, _: bytes) -> WindowSender:
        return self._sender

    def _own_sender(self, peer: bytes) -> WindowSender | Ignore:
        try:
            own = open_own_port(self.address, peer)
            asyncio.get_running_loop().add_reader(own, partial(self._receive_at_own_port, own, peer))
        except (OSError, BindError) as error:
            log.warning("tftp: no port for another transfer: %s", error)
            return Ignore(Reason.TOO_MANY)
        self._own_sockets[peer] = own
        return WindowSender(own)

    def _ended(self, session: Session) -> None:
        if own := self._own_sockets.pop(session.peer, None):
            asyncio.get_running_loop().remove_reader(own)
            own.close()

    def _await_room(self) -> None:
        if self._open:
            asyncio.get_running_loop().add_writer(self._open.socket_to_send, self._has_room)

    def _has_room(self) -> None:
        if self._open:
            asyncio.get_running_loop().remove_writer(self._open.socket_to_send)
        self._sessions.resume()

    def _tick(self) -> None:
        self._sessions.tick()
        self._timer = None
        if self._sessions.by_peer:
            self._await_tick()

    def _await_tick(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(TICK - self._clock() % TICK, self._tick)
