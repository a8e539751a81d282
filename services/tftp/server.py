"""The TFTP data plane: its socket, its timer, and who gets what. Read-only (RFC 1350, 2347-2349, 7440).

One socket on the server's port serves every client (as dnsmasq's --tftp-single-port): clients only insist that the port
does not change within a transfer, and a firewall or NAT between sees one flow. Sessions are keyed by the peer's address
and port. With `ports` = "session" each transfer has a port of its own, as RFC 1350 has it. Who may read is asked of
`admit`; a peer that is not admitted gets not one byte, not even an ERROR.
"""

import asyncio
import logging
import socket
import time
from collections.abc import Callable
from functools import lru_cache, partial
from ipaddress import IPv4Address
from sys import intern
from typing import Literal

from services.decision import Ignore, Reason
from services.draining import drained
from services.ethernet import MacAddress
from services.events import Event, Ignored
from services.linux import socket_filter
from services.linux.busy_poll import BusyPoll
from services.linux.sockets import BindError, bind_udp
from services.linux.udp_batches import WindowSender, address_of, peer_of
from services.tftp.content_cache import ContentCache
from services.tftp.deadlines import TICK
from services.tftp.files import Files
from services.tftp.packet import Ack, Error, ReadRequest, WriteRequest, decode
from services.tftp.paths import BootPath, parse
from services.tftp.port import HEARD, LONGEST_DATAGRAM, SharedPort, largest_block
from services.tftp.refusals import refusal
from services.tftp.session import Session
from services.tftp.sessions import Sessions, client_of
from services.tftp.transfer import BlockTransfer, Terms, negotiate

MOST_SESSIONS = 10_000
MOST_SESSIONS_A_CLIENT = 16  # a PC switched off and on leaves one behind for a minute each time

_SERVICE = "tftp"
_MOST_SINGLE = 64  # datagrams one by one before the loop may turn to something else
_ROUNDS = 64  # batches before it may
_TURN = 0.002  # seconds before it may
_FEW = 8  # less than that in a batch: hardly any has come since
_MODES = ("octet", "netascii")
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
        arena: ContentCache | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.address = address
        self.port = port
        self._files = files
        self._admit = admit
        self._emit = emit
        self._ports = ports
        self._arena = arena or ContentCache()
        self._clock = clock
        self._transfers = Sessions(
            self._arena, clock=clock, tell=self._tell, ended=self._ended, await_room=self._await_room
        )
        self._sessions = self._transfers.sessions
        self._blocked = self._transfers.blocked
        self._open: SharedPort | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._draining = False

    def open(self) -> None:
        """Bind the port and serve in the running event loop; raises BindError."""
        port = SharedPort.open(self.address, self.port)
        self.port = port.number
        self._outlet = port.outlet
        self._transfers.batches = port.batches
        self._draining = False
        loop = asyncio.get_running_loop()
        self._lull = BusyPoll(loop)
        self._open = port
        loop.add_reader(port.heard, self._receive if port.batches else self._receive_one_by_one)

    def close(self) -> None:
        """Stop at once; transfers under way fail. Does nothing when closed already."""
        if self._open is None:
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._open.heard)
        loop.remove_writer(self._open.sender)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for session in list(self._sessions.values()):
            self._transfers.fail(session, "the server stopped")
        self._open.close()
        self._open = self._transfers.batches = None

    async def drain(self, seconds: float) -> None:
        """Take no more requests, let the transfers under way finish as long as they move, for at most `seconds`, then
        close."""
        self._draining = True
        if not await drained(self._progress, seconds):
            log.info("tftp: %d transfers were cut off by the stop", len(self._sessions))
        self.close()

    def _progress(self) -> list[int]:
        return [session.settle().acked_bytes for session in self._sessions.values()]

    def _tell(self, event: Event) -> None:
        try:
            self._emit(event)
        except Exception:
            log.exception("tftp: an event could not be recorded; the transfer goes on")

    def _receive(self) -> None:
        until = self._clock() + _TURN
        for _ in range(_ROUNDS):
            batches = self._transfers.batches
            if batches is None:
                return
            try:
                count = batches.receive()
            except BlockingIOError:
                return
            except OSError:
                continue  # an ICMP error about an earlier packet of ours: that transfer's timer deals with it
            now = self._clock()
            for number in self._transfers.answer(count, now):
                peer, datagram = batches.datagram(number)
                self._transfers.guard(peer, self._answer, datagram, peer)
            self._transfers.flush()
            if now >= until:
                return
            if count < _FEW and not (self._sessions and self._lull.brings()):
                return

    def _receive_one_by_one(self) -> None:
        for _ in range(_MOST_SINGLE):
            if self._open is None:
                return
            try:
                datagram, (address, port) = self._open.heard.recvfrom(LONGEST_DATAGRAM)
            except BlockingIOError:
                return
            except OSError:
                continue
            peer = peer_of(IPv4Address(address), port)
            self._transfers.guard(peer, self._answer, datagram, peer)

    def _receive_own(self, own: socket.socket, peer: bytes) -> None:
        for _ in range(_MOST_SINGLE):
            try:
                datagram = own.recv(LONGEST_DATAGRAM)
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
                    self._transfers.acknowledge(session, block)
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
        if answer := refusal(reason):
            self._outlet.send(peer, [answer])

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
            self._refuse(mac, peer, path, Reason.STOPPING if self._draining else Reason.TOO_MANY)
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
            self._refuse(mac, peer, path, Reason.TOO_MANY)
            return
        terms = _terms(tuple(request.options.items()), content.size, largest_block(peer))
        transfer = BlockTransfer(terms, content.size, now)
        session = Session(peer, mac, intern(str(path)), hash(datagram), content, transfer, outlet, own, now)
        if self._timer is None:
            self._await_tick()
        self._transfers.begin(session)

    def _way_to(self, peer: bytes) -> tuple[WindowSender, socket.socket | None]:
        if self._ports == "shared":
            return self._outlet, None
        own = bind_udp(self.address, 0)
        try:
            socket_filter.attach(own, HEARD)
            own.connect(address_of(peer))
            asyncio.get_running_loop().add_reader(own, partial(self._receive_own, own, peer))
        except OSError:
            own.close()
            raise
        return WindowSender(own), own

    def _crowded(self, peer: bytes) -> bool:
        if self._transfers.of_client.get(client_of(peer), 0) >= MOST_SESSIONS_A_CLIENT:
            return True
        return len(self._sessions) >= MOST_SESSIONS and not self._transfers.make_room()

    def _ended(self, session: Session) -> None:
        if session.own is not None:
            asyncio.get_running_loop().remove_reader(session.own)
            session.own.close()

    def _await_room(self) -> None:
        if self._open:
            asyncio.get_running_loop().add_writer(self._open.sender, self._unblock)

    def _unblock(self) -> None:
        if self._open:
            asyncio.get_running_loop().remove_writer(self._open.sender)
        self._transfers.resume()

    def _tick(self) -> None:
        self._transfers.tick()
        self._timer = None
        if self._sessions:
            self._await_tick()

    def _await_tick(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(TICK - self._clock() % TICK, self._tick)


@lru_cache(maxsize=256)
def _terms(options: tuple[tuple[str, str], ...], size: int, largest: int) -> Terms:
    # A room of PCs asks for the same file in the same way, and shares what it was granted.
    return negotiate(dict(options), size, largest)
