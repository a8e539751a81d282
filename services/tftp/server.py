"""The TFTP data plane: one UDP socket and one timer for all transfers. Read-only (RFC 1350, 2347-2349, 7440).

One socket on the server's port serves every client (as dnsmasq's --tftp-single-port): clients only insist that the port
does not change within a transfer, and a firewall or NAT between sees one flow. Sessions are keyed by the peer's address
and port. Who may read is asked of `admit`; a peer that is not admitted gets not one byte, not even an ERROR.
"""

import asyncio
import errno
import logging
import socket
import time
from collections import deque
from collections.abc import Callable
from ipaddress import IPv4Address

from services.decision import Ignore, Reason
from services.ethernet import MacAddress
from services.events import Event, Ignored, TransferFailed, TransferProgressed, TransferServed
from services.sockets import bind_udp
from services.tftp.files import Files
from services.tftp.packet import (
    Ack,
    Error,
    ErrorCode,
    ReadRequest,
    WriteRequest,
    decode,
    encode_error,
    encode_options,
)
from services.tftp.paths import BootPath, parse
from services.tftp.session import FileShrank, Peer, Session
from services.tftp.transfer import Done, Failed, Probed, SendBlocks, SendOptions, Step, Transfer, Wait, negotiate

MOST_SESSIONS = 2000
MOST_SESSIONS_A_CLIENT = 16  # a PC switched off and on leaves one behind for a minute each time

_SERVICE = "tftp"
_TICK = 0.02  # seconds; less than half of the shortest retransmission
_REPORT_EVERY = 1.0
_BATCH = 64  # datagrams taken before the loop may turn to something else
_LONGEST_DATAGRAM = 2048  # longer ones are cut, and then too long for a request
_BUFFER = 4 << 20  # a room of 500 PCs switched on together sends its requests within a few milliseconds
_MODES = ("octet", "netascii")
_REFUSALS = {
    Reason.NO_FILE: (ErrorCode.NOT_FOUND, "file not found"),
    Reason.OUTSIDE_ROOT: (ErrorCode.ACCESS_VIOLATION, "path outside the boot root"),
    Reason.UNREADABLE: (ErrorCode.ACCESS_VIOLATION, "file not readable"),
    Reason.READ_ONLY: (ErrorCode.ACCESS_VIOLATION, "this server takes no files"),
    Reason.MALFORMED: (ErrorCode.ILLEGAL_OPERATION, "unknown transfer mode"),
}

log = logging.getLogger(__name__)


class TftpServer:
    """Serves `files`; a first path component of twelve hex digits claims a MAC address.

    `admit(claimed, peer)` names the client or says why it gets nothing; `emit` takes what happened. Both must return at
    once. `port` 0 takes a free port, which `port` tells after `open`.
    """

    def __init__(
        self,
        address: IPv4Address,
        files: Files,
        *,
        admit: Callable[[MacAddress | None, IPv4Address], MacAddress | Ignore],
        emit: Callable[[Event], None],
        port: int = 69,
    ) -> None:
        self.address = address
        self.port = port
        self._files = files
        self._admit = admit
        self._emit = emit
        self._sessions: dict[Peer, Session] = {}
        self._blocked: dict[Peer, Session] = {}  # those with packets the socket had no room for, in order
        self._socket: socket.socket | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._draining = False
        self._idle = asyncio.Event()

    def open(self) -> None:
        """Bind the port and serve in the running event loop; raises BindError."""
        self._socket = bind_udp(self.address, self.port)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        self.port = self._socket.getsockname()[1]
        self._draining = False
        asyncio.get_running_loop().add_reader(self._socket, self._receive)

    def close(self) -> None:
        """Stop at once; transfers under way fail. Does nothing when closed already."""
        if self._socket is None:
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._socket)
        loop.remove_writer(self._socket)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for session in list(self._sessions.values()):
            self._fail(session, "the server stopped")
        self._socket.close()
        self._socket = None

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
        assert self._socket is not None
        for _ in range(_BATCH):
            try:
                datagram, peer = self._socket.recvfrom(_LONGEST_DATAGRAM)
            except BlockingIOError:
                return
            except OSError:
                continue  # an ICMP error about an earlier packet of ours: that transfer's timer deals with it
            self._guard(peer, self._answer, datagram, peer)
            if self._socket is None:
                return

    def _guard(self, peer: Peer, act: Callable[..., None], *arguments: object) -> None:
        """Run `act` so that whatever it raises ends only the transfer with `peer`."""
        try:
            act(*arguments)
        except (OSError, FileShrank) as error:
            if session := self._sessions.get(peer):
                self._send(peer, encode_error(ErrorCode.UNDEFINED, "the file cannot be read any more"))
                self._fail(session, str(error))
        except Exception:
            log.exception("tftp: a fault of the program; only the transfer with %s ends", peer[0])
            if session := self._sessions.get(peer):
                self._fail(session, "a fault of the server; its log has the details")

    def _answer(self, datagram: bytes, peer: Peer) -> None:
        match decode(datagram):
            case Ack(block):
                if session := self._sessions.get(peer):
                    self._act(session, session.transfer.acknowledge(block, time.monotonic()))
            case ReadRequest() as request:
                self._read(request, peer)
            case WriteRequest(name):
                self._refuse_write(parse(name), peer)
            case Error(code, message):
                if session := self._sessions.get(peer):
                    self._act(session, session.transfer.abort(code, message))
            case Ignore(reason):
                self._tell(Ignored(_SERVICE, peer[0], reason))

    def _admitted(self, path: BootPath, peer: Peer) -> MacAddress | Ignore:
        decision = self._admit(path.claimed, IPv4Address(peer[0]))
        if isinstance(decision, Ignore):
            self._tell(Ignored(_SERVICE, str(path.claimed or peer[0]), decision.reason, str(path)))
        return decision

    def _refuse_write(self, path: BootPath, peer: Peer) -> None:
        mac = self._admitted(path, peer)
        if isinstance(mac, MacAddress):
            self._refuse(mac, peer, path, Reason.READ_ONLY)

    def _refuse(self, mac: MacAddress, peer: Peer, path: BootPath, reason: Reason) -> None:
        self._tell(Ignored(_SERVICE, str(mac), reason, str(path)))
        self._send(peer, encode_error(*_REFUSALS.get(reason, (ErrorCode.NOT_FOUND, reason.value))))

    def _read(self, request: ReadRequest, peer: Peer) -> None:
        path = parse(request.name)
        mac = self._admitted(path, peer)
        if isinstance(mac, Ignore):
            return
        now = time.monotonic()
        if session := self._sessions.get(peer):
            if session.request == request and not session.transfer.stalled(now):
                self._act(session, session.transfer.repeat(now))
                return
            # Firmware that always asks from the same port: the old transfer's last ACK was lost, or the PC was reset.
            self._act(session, session.transfer.replace())
        if self._draining or self._crowded(peer):
            # Silence, not an ERROR: the client asks again, and there may be room then.
            reason = Reason.STOPPING if self._draining else Reason.TOO_MANY
            self._tell(Ignored(_SERVICE, str(mac), reason, str(path)))
            return
        if request.mode not in _MODES:
            self._refuse(mac, peer, path, Reason.MALFORMED)
            return
        file = self._files.open(path, mac, IPv4Address(peer[0]))
        if isinstance(file, Ignore):
            self._refuse(mac, peer, path, file.reason)
            return
        transfer = Transfer(negotiate(request.options, file.size), file.size, now)
        session = Session(peer, mac, str(path), request, file, transfer, now)
        self._sessions[peer] = session
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_TICK, self._tick)
        self._act(session, transfer.start(now))

    def _crowded(self, peer: Peer) -> bool:
        of_client = sum(address == peer[0] for address, _ in self._sessions)
        return len(self._sessions) >= MOST_SESSIONS or of_client >= MOST_SESSIONS_A_CLIENT

    def _act(self, session: Session, step: Step) -> None:
        match step:
            case Wait():
                pass
            case SendBlocks():
                if not session.announced:
                    session.announced = True
                    session.reported_at = time.monotonic()
                    self._tell(TransferProgressed(session.mac, _SERVICE, session.path, 0, session.transfer.size))
                session.pending = deque(session.packets(step))
                self._pump(session)
            case SendOptions():
                self._send(session.peer, encode_options(session.transfer.terms.granted or {}))
            case Done():
                seconds = time.monotonic() - session.started
                self._end(session)
                size = session.transfer.size
                self._tell(TransferServed(session.mac, _SERVICE, session.path, size, seconds))
            case Probed():
                self._end(session)
            case Failed(why):
                self._fail(session, why)

    def _fail(self, session: Session, why: str) -> None:
        self._end(session)
        self._tell(TransferFailed(session.mac, _SERVICE, session.path, session.transfer.acked_bytes, why))

    def _end(self, session: Session) -> None:
        if self._sessions.get(session.peer) is session:
            del self._sessions[session.peer]
            self._blocked.pop(session.peer, None)
            session.file.close()
        if not self._sessions:
            self._idle.set()

    def _pump(self, session: Session) -> None:
        """Send what is pending until the socket is full; the rest follows when it has room."""
        while session.pending:
            if not self._send(session.peer, session.pending[0]):
                if not self._blocked:
                    assert self._socket is not None
                    asyncio.get_running_loop().add_writer(self._socket, self._unblock)
                self._blocked[session.peer] = session
                return
            session.pending.popleft()

    def _unblock(self) -> None:
        blocked, self._blocked = self._blocked, {}
        assert self._socket is not None
        asyncio.get_running_loop().remove_writer(self._socket)
        for session in blocked.values():
            self._guard(session.peer, self._pump, session)

    def _send(self, peer: Peer, packet: bytes) -> bool:
        """Send one packet; False when the socket is full. A packet that cannot be sent at all counts as lost."""
        assert self._socket is not None
        try:
            self._socket.sendto(packet, peer)
        except BlockingIOError:
            return False
        except OSError as error:
            # ENOBUFS: the device queue is full while the socket says it has room, so waiting for room would spin.
            # The others are ICMP errors, a firewall, a peer with port 0. The retransmission timer covers them all.
            if error.errno not in (errno.ENOBUFS, errno.ECONNREFUSED):
                log.debug("tftp: cannot send to %s: %s", peer[0], error)
        return True

    def _tick(self) -> None:
        # One scan over all sessions, 50 times a second, costs less than moving a timer of its own with every ACK.
        now = time.monotonic()
        for session in list(self._sessions.values()):
            if now >= session.transfer.deadline:
                self._guard(session.peer, self._act, session, session.transfer.expire(now))
            elif now - session.reported_at >= _REPORT_EVERY and session.announced:
                self._guard(session.peer, self._report, session, now)
        self._timer = asyncio.get_running_loop().call_later(_TICK, self._tick) if self._sessions else None

    def _report(self, session: Session, now: float) -> None:
        sent = session.transfer.acked_bytes
        session.reported_at = now
        if sent != session.reported_bytes:
            session.reported_bytes = sent
            self._tell(TransferProgressed(session.mac, _SERVICE, session.path, sent, session.transfer.size))
