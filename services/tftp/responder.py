"""What each datagram from a client gets: a transfer, a refusal, or silence. PURE.

Decides who is served, which file and on which terms; the sessions carry the transfers on. Files, senders, the path MTU
and the time come from outside. Read-only (RFC 1350, 2347-2349, 7440).
"""

from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv4Address
from sys import intern

from services.decision import Ignore, Reason
from services.ethernet import MacAddress
from services.events import Event, Ignored
from services.linux.open_beneath import OpenFile
from services.linux.udp_batches import WindowSender, address_of
from services.tftp.content_cache import ContentCache
from services.tftp.files import Files
from services.tftp.packet import Ack, Error, ReadRequest, WriteRequest, decode
from services.tftp.paths import BootPath, parse
from services.tftp.refusals import refusal
from services.tftp.session import Session
from services.tftp.sessions import SERVICE, Sessions, client_of
from services.tftp.transfer import BlockTransfer, Terms, negotiate

MOST_SESSIONS = 10_000
MOST_SESSIONS_A_CLIENT = 16  # a PC switched off and on leaves one behind for a minute each time

_MODES = ("octet", "netascii")


class Responder:
    """Answers datagrams for one server.

    `admit(claimed, address)` names the client or says why it gets nothing. `sender_for(peer)` returns what sends the
    blocks of a new transfer; with `own_ports` it has a port of its own. `send_error(peer, datagram)` sends an ERROR
    from the server's port. `largest_block(peer)` is in bytes, `clock` in monotonic seconds; `emit` takes events.
    """

    def __init__(
        self,
        files: Files,
        sessions: Sessions,
        cache: ContentCache,
        *,
        admit: Callable[[MacAddress | None, IPv4Address], MacAddress | Ignore],
        sender_for: Callable[[bytes], WindowSender | Ignore],
        own_ports: bool,
        send_error: Callable[[bytes, bytes], object],
        largest_block: Callable[[bytes], int],
        emit: Callable[[Event], None],
        clock: Callable[[], float],
    ) -> None:
        self.stopping = False
        """While true, no request opens a transfer."""
        self._files = files
        self._sessions = sessions
        self._cache = cache
        self._admit = admit
        self._sender_for = sender_for
        self._own_ports = own_ports
        self._send_error = send_error
        self._largest_block = largest_block
        self._emit = emit
        self._clock = clock

    def answer(self, datagram: bytes, peer: bytes) -> None:
        """Do what one datagram from `peer` asks for. A peer that is not admitted gets nothing, not even an ERROR."""
        session = self._sessions.by_peer.get(peer)
        match decode(datagram):
            case Ack(block):
                if session:
                    self._sessions.acknowledge(session, block)
            case ReadRequest() as request:
                self._read(request, datagram, peer)
            case WriteRequest(name):
                path = parse(name)
                mac = self._admitted(path, peer)
                if isinstance(mac, MacAddress):
                    self._refuse(mac, peer, path, Reason.READ_ONLY)
            case Error(code, message):
                if session:
                    session.leave_fast_path()
                    self._sessions.act(session, session.transfer.abort(code, message))
            case Ignore(reason):
                self._emit(Ignored(SERVICE, address_of(peer)[0], reason, sender=address_of(peer)[0]))

    def _read(self, request: ReadRequest, datagram: bytes, peer: bytes) -> None:
        path = parse(request.name)
        mac = self._admitted(path, peer)
        if isinstance(mac, Ignore):
            return
        now = self._clock()
        if session := self._sessions.by_peer.get(peer):
            session.leave_fast_path()
            if session.request == hash(datagram) and not session.transfer.is_restart(now):
                self._sessions.act(session, session.transfer.repeat(now))
                return
            # Firmware that always asks from the same port: the old transfer's last ACK was lost, or the PC was reset.
            self._sessions.act(session, session.transfer.replace())
        file = self._file(request, path, mac, peer)
        if isinstance(file, Ignore):
            self._refuse(mac, peer, path, file.reason)
            return
        content = self._cache.take(file)
        sender = self._sender_for(peer)
        if isinstance(sender, Ignore):
            self._cache.release(content)
            self._refuse(mac, peer, path, sender.reason)
            return
        largest = self._sessions.lost_blocks.limit(client_of(peer), self._largest_block(peer), now)
        terms = _terms(tuple(request.options.items()), content.size, largest)
        transfer = BlockTransfer(terms, content.size, now)
        self._sessions.begin(
            Session(peer, mac, intern(str(path)), hash(datagram), content, transfer, sender, self._own_ports, now)
        )

    def _file(self, request: ReadRequest, path: BootPath, mac: MacAddress, peer: bytes) -> OpenFile | bytes | Ignore:
        if self.stopping:
            return Ignore(Reason.STOPPING)
        if self._full(peer):
            return Ignore(Reason.TOO_MANY)
        if request.mode not in _MODES:
            return Ignore(Reason.MALFORMED)
        return self._files.open(path, mac, IPv4Address(client_of(peer)))

    def _full(self, peer: bytes) -> bool:
        if self._sessions.count_by_client.get(client_of(peer), 0) >= MOST_SESSIONS_A_CLIENT:
            return True
        return len(self._sessions.by_peer) >= MOST_SESSIONS and not self._sessions.make_room()

    def _admitted(self, path: BootPath, peer: bytes) -> MacAddress | Ignore:
        address = IPv4Address(client_of(peer))
        decision = self._admit(path.claimed, address)
        if isinstance(decision, Ignore):
            self._emit(Ignored(SERVICE, str(path.claimed or address), decision.reason, str(path), str(address)))
        return decision

    def _refuse(self, mac: MacAddress, peer: bytes, path: BootPath, reason: Reason) -> None:
        self._emit(Ignored(SERVICE, str(mac), reason, str(path), address_of(peer)[0]))
        if error := refusal(reason):
            self._send_error(peer, error)


@lru_cache(maxsize=256)
def _terms(options: tuple[tuple[str, str], ...], size: int, largest: int) -> Terms:
    # A room of PCs asks for the same file in the same way, and shares the terms.
    return negotiate(dict(options), size, largest)
