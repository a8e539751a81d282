"""Files being sent, laid out once for all clients as DATA packets that are ready to go out.

A chunk is a part of a file as DATA packets of one block size, one after another with their headers, so that a window
is one slice. Chunks are laid out when they are first wanted; the most recently used ones are kept, up to a number of
bytes. Sessions have no descriptor of their own: one is open for each file that is being sent.

A client gets the file as it was when it asked, or none. If a file is written to, the parts already laid out keep the
old content; reading any other part raises FileChanged. A file that is replaced by renaming keeps its content, because
the descriptor does. Writes are detected by size and modification time. One case goes unnoticed: a file written in place
twice within one clock tick of the file system (4 ms), with a client starting to read in between.
"""

import os
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, Protocol

from services.linux.open_beneath import FileChanged, OpenFile
from services.linux.udp_batches import Messages
from services.tftp.packet import encode_ack, lay_out_headers
from services.tftp.transfer import blocks_per_chunk

MOST_BYTES = 128 << 20  # two or three initial ramdisks of different images

_HEADER = 4
_YOUNG = 2_000_000_000  # nanoseconds: the coarsest clock of a file system, FAT's
_PREPARED_BYTES = 260  # memory of a prepared window, not counting its packets
_MOST_PREPARED = 4  # per packet of a chunk: clients that lost packets are out of phase with the others

PreparedWindow = tuple[bytes | None, bytes, Any, int]
"""What to send for an expected ACK: the ACK exactly as it must arrive, the next window (services/linux/udp_batches.py,
`Messages`), the PreparedWindow after this one, and how many blocks were acknowledged before this ACK. The last one of a
chunk has no ACK (None)."""

NOTHING_PREPARED: PreparedWindow = (None, b"", None, 0)
"""No ACK is answered with a prepared window."""


class ChunkReader(Protocol):
    """Someone who sends the prepared windows of a chunk."""

    def leave_fast_path(self) -> None:
        """Stop using them."""


@dataclass(slots=True, eq=False)
class Content:
    """A file as it was at one time, or `data` made on request. `users` counts transfers; `fd` is -1 while there are
    none."""

    size: int
    modified_ns: int = 0
    changed_ns: int = 0
    fd: int = -1
    data: bytes | None = None
    identity: tuple[int, ...] | None = None
    users: int = 0
    chunks: "dict[tuple[int, int], Chunk]" = field(default_factory=dict)

    def read(self, into: list[memoryview], offset: int) -> None:
        """Fill the buffers from `offset` on; raises OSError, FileChanged among them."""
        wanted = sum(map(len, into))
        if self.data is not None:
            for view in into:
                view[:] = self.data[offset : offset + len(view)]
                offset += len(view)
            return
        read = os.preadv(self.fd, into, offset) if wanted else 0
        # After reading: a write that may have been read shows in the status by now.
        status = os.fstat(self.fd)
        if read < wanted or status.st_size != self.size or status.st_mtime_ns != self.modified_ns:
            raise FileChanged("the file was changed while it was being sent")


class Chunk:
    """The blocks from `first` to `last` of a file, as packets."""

    __slots__ = (
        "_buffer",
        "_count_prepared",
        "_prepared",
        "_stride",
        "_view",
        "_whole",
        "content",
        "first",
        "held_bytes",
        "key",
        "last",
        "readers",
        "valid_until",
    )

    def __init__(self, content: Content, block: int, index: int) -> None:
        """Raises OSError, FileChanged among them."""
        blocks = blocks_per_chunk(block)
        self.content = content
        self.key = (block, index)
        self.first = index * blocks + 1
        self.last = min(self.first + blocks - 1, content.size // block + 1)
        self.readers: set[ChunkReader] = set()
        self._stride = stride = block + _HEADER
        count = self.last - self.first + 1
        offset = (self.first - 1) * block
        length = min(count * block, content.size - offset)
        self._whole = length // block  # packets with a full block
        self._buffer = bytearray(length + count * _HEADER)
        self._view = view = memoryview(self._buffer)
        lay_out_headers(view, block, self.first, count)
        content.read([view[at + _HEADER : at + stride] for at in range(0, len(view), stride)], offset)
        # Just after a change, another write may leave the times as they are: what is read now must be read again later.
        self.valid_until = content.changed_ns + _YOUNG if time.time_ns() < content.changed_ns + _YOUNG else None
        self._prepared: dict[tuple[int, int], tuple[list[PreparedWindow], Messages]] = {}
        self._count_prepared = 0
        self.held_bytes = len(self._buffer)

    def window(self, first: int, last: int) -> memoryview:
        """The packets of these blocks."""
        return self._view[(first - self.first) * self._stride : (last - self.first + 1) * self._stride]

    def prepare(self, window: int, first: int) -> PreparedWindow | None:
        """The window of `window` blocks from `first` on, prepared; None where the regular path must be taken.

        That is at the end of the chunk, where the next chunk may have to be laid out and the transfer measures a round
        trip (transfer.py, `blocks_per_chunk`), and at the end of the file, whose last block is short.
        """
        place = first - self.first
        phase = place % window
        if (window, phase) not in self._prepared:
            count = (self._whole - phase) // window
            if count <= 0 or self._count_prepared + count > _MOST_PREPARED * blocks_per_chunk(self.key[0]):
                return None
            self._prepared[window, phase] = self._prepare_all(window, phase, count)
            self._count_prepared += count
            self.held_bytes += count * _PREPARED_BYTES
        prepared = self._prepared[window, phase][0]
        return prepared[place // window] if place // window < len(prepared) else None

    def _prepare_all(self, window: int, phase: int, count: int) -> tuple[list[PreparedWindow], Messages]:
        length = window * self._stride
        pieces = [(phase * self._stride + number * length, length) for number in range(count)]
        messages = Messages(self._buffer, pieces, self._stride if window > 1 else 0)
        first = self.first + phase + count * window
        following: PreparedWindow = (None, b"", None, first - 1 - window)
        prepared: list[PreparedWindow] = []
        for message in reversed(messages.each):
            first -= window
            following = (encode_ack(first - 1), message, following, first - 1 - window)
            prepared.append(following)
        prepared.reverse()
        return prepared, messages


class ContentCache:
    """The files being sent, and chunks of these and of files sent before."""

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._most = most
        self._bytes = 0
        self._contents: dict[tuple[int, ...], Content] = {}
        self._chunks: OrderedDict[Chunk, None] = OrderedDict()  # least recently used first

    def take(self, file: OpenFile | bytes) -> Content:
        """The content for one more transfer, which must `release` it. Takes over the open file; raises OSError."""
        if isinstance(file, bytes):
            return Content(len(file), data=file, users=1)
        try:
            status = os.fstat(file.fd)
        except OSError:
            file.close()
            raise
        # The change time reveals a file that was given its old modification time again, or its old inode.
        times = (status.st_mtime_ns, status.st_ctime_ns)
        identity = (status.st_dev, status.st_ino, status.st_size, *times)
        content = self._contents.get(identity)
        if content is None:
            content = self._contents[identity] = Content(status.st_size, *times, identity=identity)
        if content.fd < 0:
            content.fd = file.fd
        else:
            file.close()
        content.users += 1
        return content

    def release(self, content: Content) -> None:
        """End one transfer's use of it."""
        content.users -= 1
        if content.users:
            return
        if content.fd >= 0:
            os.close(content.fd)
            content.fd = -1
        if content.identity is None:
            for chunk in list(content.chunks.values()):
                self._drop(chunk)
        self._forget(content)

    def packets(self, content: Content, block: int, first: int, last: int) -> list[memoryview]:
        """The DATA packets of these blocks, in pieces; raises OSError, FileChanged among them."""
        pieces = []
        while first <= last:
            chunk = self.chunk(content, block, first)
            pieces.append(chunk.window(first, min(last, chunk.last)))
            first = chunk.last + 1
        return pieces

    def laid_out(self, content: Content, block: int, first: int) -> Chunk | None:
        """The chunk with block `first`, if it is laid out."""
        return content.chunks.get((block, (first - 1) // blocks_per_chunk(block)))

    def prepare(self, chunk: Chunk, window: int, first: int) -> PreparedWindow | None:
        """As Chunk.prepare."""
        before = chunk.held_bytes
        prepared = chunk.prepare(window, first)
        self._bytes += chunk.held_bytes - before
        return prepared

    def chunk(self, content: Content, block: int, first: int) -> Chunk:
        """The chunk with block `first`, laid out now if it is not yet; raises OSError, FileChanged among them."""
        key = block, (first - 1) // blocks_per_chunk(block)
        if chunk := content.chunks.get(key):
            if chunk.valid_until is None or time.time_ns() < chunk.valid_until:
                self._chunks.move_to_end(chunk)
                return chunk
            self._drop(chunk)
        chunk = content.chunks[key] = Chunk(content, *key)
        self._bytes += chunk.held_bytes
        self._make_room()
        self._chunks[chunk] = None
        return chunk

    def _make_room(self) -> None:
        while self._bytes > self._most and self._chunks:
            # Chunks in use go last: their sessions would lay them out again at once.
            oldest = next((chunk for chunk in self._chunks if not chunk.readers), None)
            self._drop(oldest or next(iter(self._chunks)))

    def _drop(self, chunk: Chunk) -> None:
        for reader in list(chunk.readers):
            reader.leave_fast_path()
        del self._chunks[chunk]
        del chunk.content.chunks[chunk.key]
        self._bytes -= chunk.held_bytes
        self._forget(chunk.content)

    def _forget(self, content: Content) -> None:
        if not content.users and not content.chunks and content.identity:
            self._contents.pop(content.identity, None)
