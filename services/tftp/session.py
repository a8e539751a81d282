"""One client's transfer with the content it gets, and its place on the short way (express.py). No sockets here."""

import socket
from dataclasses import dataclass

from services.ethernet import MacAddress
from services.linux.udp_batches import WindowSender
from services.tftp.content_cache import PLAIN, Chunk, Content, ContentCache, Step
from services.tftp.transfer import BlockTransfer


@dataclass(slots=True, eq=False)
class Session:
    """`peer` as in services/linux/udp_batches.py; `request` is the hash of the datagram it sent; times are monotonic
    seconds.

    `own` is its socket, where it has one. `pending` are the first and the last block that the socket had no room for.
    `ahead` is what to do when the ACK arrives that is expected, and `heard` when the last such one did: of these the
    transfer is told later.
    """

    peer: bytes
    mac: MacAddress
    path: str
    request: int
    content: Content
    transfer: BlockTransfer
    outlet: WindowSender
    own: socket.socket | None
    started: float
    reported_at: float | None = None
    reported_bytes: int = 0
    pending: tuple[int, int] | None = None
    due: int = -1
    ahead: Step = PLAIN
    heard: float = 0.0
    chunk: Chunk | None = None

    @property
    def deadline(self) -> float:
        """When to retransmit."""
        return max(self.transfer.deadline, self.heard + self.transfer.wait) if self.chunk else self.transfer.deadline

    def settle(self) -> BlockTransfer:
        """The transfer, which knows all that arrived."""
        if self.chunk:
            self.transfer.skip(self.ahead[3], self.heard)
        return self.transfer

    @property
    def takes_messages(self) -> bool:
        """Whether its windows may leave through the shared socket as they lie in a chunk."""
        return self.own is None and (self.outlet.cuts or self.transfer.terms.window == 1)

    def enter(self, arena: ContentCache) -> None:
        """Take the short way, if there is one from here on."""
        transfer, terms = self.transfer, self.transfer.terms
        if self.chunk or self.pending or not transfer.steady or not self.takes_messages:
            return
        first = transfer.acked + terms.window + 1
        if (chunk := arena.laid_out(self.content, terms.block, first)) and (
            step := arena.step(chunk, terms.window, first)
        ):
            self.chunk, self.ahead, self.heard = chunk, step, 0.0
            chunk.readers.add(self)

    def leave(self) -> None:
        """Take the plain way from here on."""
        if self.chunk:
            self.settle()
            self.chunk.readers.discard(self)
            self.chunk, self.ahead = None, PLAIN
