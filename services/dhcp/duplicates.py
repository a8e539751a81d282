"""What was heard within the last second, and what it got: a copy of it is known by its bytes. PURE.

Two relays bring one request twice, a loop between switches a thousand times, and anybody can flood in the name of a
PC. Firmware itself does not ask again so soon, and counts the seconds: iPXE waits one, PXE ROMs and EDK2 four, each
time longer. So a copy gets the bytes that the first one got, and tells nobody anything new.
"""

from dataclasses import dataclass

from services.dhcp.message import Peer

WITHIN = 1.0
"""Seconds from a request to its copies: the shortest time after which firmware discovers again (iPXE's
DHCP_DISC_START_TIMEOUT_SEC)."""

MOST = 2048
"""Requests that are remembered, of some 1,500 bytes each with their answers."""

MOST_REFUSED = 256
"""Strangers that are told of within WITHIN seconds: a flood under ever new names is worth no more lines."""


@dataclass(frozen=True, slots=True)
class AnsweredRequest:
    """A request, and what it got: the answer's bytes before and behind the xid and where they went, or silence.

    `start` and `rest` are the request's bytes before and behind its xid.
    """

    until: float
    peer: Peer
    start: bytes
    rest: bytes
    answer: tuple[bytes, bytes, Peer] | None

    def is_copied_by(self, datagram: bytes, peer: Peer, now: float) -> bool:
        """Whether the datagram says the same again. Its xid may differ, nothing else: by another
        secs the client itself says that it is still waiting."""
        return now < self.until and datagram[8:] == self.rest and datagram[:4] == self.start and peer == self.peer


class Duplicates:
    """The latest request of each client to one port, by chaddr."""

    def __init__(self) -> None:
        self.heard: dict[bytes, AnsweredRequest] = {}
        self._refused = 0
        self._refused_until = 0.0

    def silence(self, datagram: bytes, peer: Peer, now: float) -> None:
        """Remember a request that got no answer, and whose copies will get none."""
        self._keep(datagram, AnsweredRequest(now + WITHIN, peer, datagram[:4], datagram[8:], None))

    def answer(self, datagram: bytes, peer: Peer, now: float, answer: bytes, destination: Peer) -> None:
        """Remember a request that was answered."""
        got = (answer[:4], answer[8:], destination)
        self._keep(datagram, AnsweredRequest(now + WITHIN, peer, datagram[:4], datagram[8:], got))

    def forget(self) -> None:
        """Forget what was answered: it may be another answer now."""
        self.heard.clear()

    def may_refuse_aloud(self, now: float) -> bool:
        """Whether one more stranger is worth a word."""
        if now >= self._refused_until:
            self._refused_until, self._refused = now + WITHIN, 0
        self._refused += 1
        return self._refused <= MOST_REFUSED

    def _keep(self, datagram: bytes, heard: AnsweredRequest) -> None:
        if len(self.heard) >= MOST:
            self.heard.clear()
        self.heard[datagram[28:34]] = heard
