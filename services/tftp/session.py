"""One client's transfer with the content it gets, and its place on the fast path (fast_path.py). No sockets here."""

from dataclasses import dataclass

from services.ethernet import MacAddress
from services.linux.udp_batches import WindowSender
from services.tftp.content_cache import NOTHING_PREPARED, Chunk, Content, ContentCache, PreparedWindow
from services.tftp.transfer import BlockTransfer


@dataclass(slots=True, eq=False)
class Session:
    """`peer` is as in services/linux/udp_batches.py, `request` the hash of the request datagram; times are monotonic
    seconds.

    `own_port` says whether `sender` sends from a port of this session's own. `pending` is the first and the last block
    that the socket had no room for. `due_tick` belongs to DueSessions. Before any DATA was acknowledged, `unproven`
    counts the bytes sent and `first_sent` how often the first block was.

    On the fast path `chunk` is set: `prepared` is what to send when the expected ACK arrives, and `acked_at` when the
    last expected one did. The transfer learns of these ACKs later, in `settle`.
    """

    peer: bytes
    mac: MacAddress
    path: str
    request: int
    content: Content
    transfer: BlockTransfer
    sender: WindowSender
    own_port: bool
    started: float
    reported_at: float | None = None
    reported_bytes: int = 0
    pending: tuple[int, int] | None = None
    due_tick: int = -1
    unproven: int = 0
    first_sent: int = 0
    prepared: PreparedWindow = NOTHING_PREPARED
    acked_at: float = 0.0
    chunk: Chunk | None = None

    @property
    def first_block(self) -> int:
        """The size of the first block, in bytes."""
        return min(self.transfer.terms.block, self.transfer.size)

    @property
    def deadline(self) -> float:
        """When to retransmit."""
        return max(self.transfer.deadline, self.acked_at + self.transfer.wait) if self.chunk else self.transfer.deadline

    def settle(self) -> BlockTransfer:
        """Tell the transfer of the ACKs that the fast path answered, and return it."""
        if self.chunk:
            self.transfer.skip(self.prepared[3], self.acked_at)
        return self.transfer

    @property
    def sends_prepared(self) -> bool:
        """Whether its windows can leave through the shared socket as they lie in a chunk."""
        return not self.own_port and (self.sender.takes_windows or self.transfer.terms.window == 1)

    def enter_fast_path(self, cache: ContentCache) -> None:
        """Take the fast path if it is open from here on."""
        transfer, terms = self.transfer, self.transfer.terms
        if self.chunk or self.pending or not transfer.steady or not self.sends_prepared:
            return
        first = transfer.acked + terms.window + 1
        if (chunk := cache.laid_out(self.content, terms.block, first)) and (
            prepared := cache.prepare(chunk, terms.window, first)
        ):
            self.chunk, self.prepared, self.acked_at = chunk, prepared, 0.0
            chunk.readers.add(self)

    def leave_fast_path(self) -> None:
        """Take the regular path from here on."""
        if self.chunk:
            self.settle()
            self.chunk.readers.discard(self)
            self.chunk, self.prepared = None, NOTHING_PREPARED
