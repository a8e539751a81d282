"""One file on its way to one client: what is sent next, what is held back, what has arrived.

If the file is changed while it is being sent, its last bytes are never sent, so a client never gets a whole answer that
mixes two contents. To ensure this, the last bytes are sent as a copy that is read before the file is checked. Bytes
sent before by sendfile are not copies, and must be acknowledged before that check: until then the last bytes are held
back (docs/adr/0008-http-data-plane.md).
"""

import os
import socket
from collections.abc import Callable
from enum import Enum, auto

from services.http import slow_client
from services.http.tcp_info import acknowledged
from services.linux.open_beneath import FileChanged, OpenFile

TELL_EVERY = 1.0  # seconds

# A body of at most so many bytes is copied as a whole. With sendfile the last bytes would wait for the acknowledgement
# of those before, which Linux delays by up to 40 ms.
LONGEST_COPIED = 1 << 20
_SLICE = 4 << 20  # bytes at most in one call of sendfile; a socket usually takes less, and clients take turns
_FIRST_PIECE, LARGEST_PIECE = 1 << 18, 1 << 20  # bytes copied at once; the next piece is twice what the socket took
# Seconds between two looks at what has been acknowledged, at least and at most. The least is doubled each time: a
# thousand clients may be at the end of their files at once.
_FIRST_LOOK, _LAST_LOOK = 0.001, 0.25


class ClientStalled(ConnectionError):  # noqa: N818 - one of the ways in which a connection ends, beside ConnectionReset…
    """The client takes nothing, or too little."""

    def __init__(self) -> None:
        super().__init__(f"the client took nothing, or too little, for {slow_client.STALLED_AFTER:.0f} s")


class Phase(Enum):
    """What a transfer does next."""

    PAGES = auto()  # sends the file's own pages, by sendfile
    HELD = auto()  # waits until those are acknowledged
    COPIES = auto()  # sends copies: the last bytes, or all of a short body
    SENT = auto()  # waits until everything is acknowledged
    ARRIVED = auto()


class FileTransfer:
    """Sends `head`, then the bytes `body` (at least one) of `file`, to a non-blocking connection to which `before`
    bytes were written earlier.

    `progressed` is to be called every TELL_EVERY seconds with the number of bytes that have arrived, `ended` once:
    with None when all have, else with the error. FileSender calls them; nothing is called from here.
    """

    def __init__(
        self,
        connection: socket.socket,
        head: bytes,
        file: OpenFile,
        body: range,
        before: int,
        *,
        progressed: Callable[[int], None],
        ended: Callable[[OSError | None], None],
    ) -> None:
        self.number = connection.fileno()
        self.size = len(body)
        self.phase = Phase.COPIES if self.size <= LONGEST_COPIED else Phase.PAGES
        self.progressed = progressed
        self.ended = ended
        self.over = False
        """For FileSender: `ended` was called, or will not be."""
        self.due = 0.0
        """For FileSender: when to call `look` next."""
        self._connection = connection
        self._head = head
        self._file = file
        self._offset, self._stop = body.start, body.stop
        self._held = body.stop - slow_client.TAIL
        self._awaited = self.size if self.phase is Phase.COPIES else self._held - body.start
        self._before = before + len(head)
        self._piece = _FIRST_PIECE
        self._stall_clock: slow_client.StallClock | None = None
        self._began = self._last_told = 0.0
        self._pause = _FIRST_LOOK

    @property
    def sent(self) -> int:
        """Bytes of the body that have arrived."""
        return self._sent(acknowledged(self._connection)[0])

    def begin(self, now: float) -> None:
        """Start the client's clock."""
        self._began = self._last_told = now
        self._stall_clock = slow_client.StallClock(self.size, now)
        self.due = now + TELL_EVERY

    def advance(self, buffer: memoryview) -> bool:
        """Give the kernel as much as it takes; return whether it may take more at once. Copies are made in `buffer`,
        which has LARGEST_PIECE bytes.

        Raises OSError when the client is gone, FileChanged when the file has shrunk or, before the last copy, changed.
        """
        try:
            if self._head:
                self._head = self._head[self._connection.send(self._head, socket.MSG_MORE) :]
                if self._head:
                    return False
            if self.phase is Phase.PAGES:
                return self._send_pages()
            return self.phase is Phase.COPIES and self._send_copy(buffer)
        except BlockingIOError:
            return False

    def _send_pages(self) -> bool:
        asked = min(_SLICE, self._held - self._offset)
        taken = os.sendfile(self.number, self._file.fd, self._offset, asked)
        if not taken:
            raise FileChanged("the file shrank while it was being sent")
        self._offset += taken
        if self._offset < self._held:
            return taken == asked
        self.phase, self._pause = Phase.HELD, _FIRST_LOOK
        return False

    def _send_copy(self, buffer: memoryview) -> bool:
        piece = buffer[: min(self._piece, self._stop - self._offset)]
        read = os.preadv(self._file.fd, [piece], self._offset)
        if not read:
            raise FileChanged("the file shrank while it was being sent")
        if self._offset + read >= self._stop:
            _check_unchanged(self._file)
        taken = os.write(self.number, piece[:read])
        self._offset += taken
        self._piece = min(2 * taken, LARGEST_PIECE)
        if self._offset < self._stop:
            return taken == read
        self.phase, self._pause = Phase.SENT, _FIRST_LOOK
        return False

    def look(self, now: float) -> int | None:
        """See what has arrived, and set `due`: when the rest should have arrived at the same rate.

        Returns the bytes that have arrived if `progressed` is to be called, else None. Moves on from Phase.HELD to
        COPIES, and from SENT to ARRIVED. Raises ClientStalled, or ConnectionResetError when no more can arrive.
        """
        assert self._stall_clock is not None, "begin() comes first"
        acked, closed = acknowledged(self._connection)
        sent = self._sent(acked)
        if self._stall_clock.ended(sent, now):
            raise ClientStalled
        self.due = now + TELL_EVERY
        if self.phase in (Phase.HELD, Phase.SENT):
            if sent >= self._awaited or (self.phase is Phase.SENT and self._stall_clock.arrived(now)):
                self.phase = Phase.COPIES if self.phase is Phase.HELD else Phase.ARRIVED
                self._awaited = self.size
            elif closed:
                raise ConnectionResetError("the client closed the connection")
            else:
                expected = (now - self._began) * (self._awaited - sent) / max(sent, self._awaited >> 4, 1)
                self.due = now + min(max(self._pause, expected), _LAST_LOOK)
                self._pause *= 2
        if now - self._last_told < TELL_EVERY:
            return None
        self._last_told = now
        return sent

    def has_arrived(self) -> bool:
        """Whether everything has been sent and acknowledged."""
        return self.phase is Phase.SENT and self.sent >= self.size

    def _sent(self, acked: int) -> int:
        return min(max(acked - self._before, 0), self.size)


def _check_unchanged(file: OpenFile) -> None:
    """Raise FileChanged if an open file was written to or cut since it was opened."""
    status = os.fstat(file.fd)
    if status.st_size < file.size:
        raise FileChanged("the file shrank while it was being sent")
    if status.st_size != file.size or status.st_mtime_ns != file.modified_ns:
        raise FileChanged("the file was changed while it was being sent")
