"""The requests of the last second and their answers: a copy of one is recognised by its bytes. PURE.

With two relays a request arrives twice, with a switching loop a thousand times, and anybody can send a flood in a PC's
name. Firmware itself does not ask again so soon, and counts the seconds: iPXE waits one, PXE ROMs and EDK2 four, each
time longer. So a copy gets the bytes that the first one got, and nothing new is reported.
"""

from services.dhcp.message import Peer
from services.values import value

WITHIN = 1.0
"""Seconds from a request to its copies: the shortest time after which firmware discovers again (iPXE's
DHCP_DISC_START_TIMEOUT_SEC)."""

MOST = 2048
"""Requests that are remembered, of some 1,500 bytes each with their answers."""

MOST_STRANGERS = 256
"""How many strangers are reported within WITHIN seconds. A flood with changing addresses is not worth more log
lines."""


@value
class AnsweredRequest:
    """A request and its answer: the bytes before and after the answer's xid, and where it went. None: no answer.

    `start` and `rest` are the request's bytes before and after its xid.
    """

    until: float
    peer: Peer
    start: bytes
    rest: bytes
    answer: tuple[bytes, bytes, Peer] | None

    def is_copied_by(self, datagram: bytes, peer: Peer, now: float) -> bool:
        """Whether the datagram is the same request again. Only its xid may differ: with another secs the client itself
        says that it is still waiting."""
        return now < self.until and datagram[8:] == self.rest and datagram[:4] == self.start and peer == self.peer


class Duplicates:
    """The latest request of each client to one port, by chaddr."""

    def __init__(self) -> None:
        self.requests: dict[bytes, AnsweredRequest] = {}
        self._strangers = 0
        self._strangers_until = 0.0

    def remember_silence(self, datagram: bytes, peer: Peer, now: float) -> None:
        """Remember a request that got no answer, and whose copies will get none."""
        self._remember(datagram, AnsweredRequest(now + WITHIN, peer, datagram[:4], datagram[8:], None))

    def remember_answer(self, datagram: bytes, peer: Peer, now: float, answer: bytes, destination: Peer) -> None:
        """Remember a request that was answered."""
        parts = (answer[:4], answer[8:], destination)
        self._remember(datagram, AnsweredRequest(now + WITHIN, peer, datagram[:4], datagram[8:], parts))

    def forget(self) -> None:
        """Forget every request: its answer may be another one now."""
        self.requests.clear()

    def may_report_stranger(self, now: float) -> bool:
        """Count one more stranger; whether it may still be reported."""
        if now >= self._strangers_until:
            self._strangers_until, self._strangers = now + WITHIN, 0
        self._strangers += 1
        return self._strangers <= MOST_STRANGERS

    def _remember(self, datagram: bytes, request: AnsweredRequest) -> None:
        if len(self.requests) >= MOST:
            self.requests.clear()
        self.requests[datagram[28:34]] = request
