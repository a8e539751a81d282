"""One file on its way to one client: what is sent next, what is held back, what arrived.

A file that is written to while it is sent ends its answer before the last bytes: these go as a copy that was read
before the file was looked at, and where not all others were copies too, they are held back until those are
acknowledged. So a client never has as many bytes as were promised of two contents (docs/adr/0008-http-data-plane.md).
"""

import os
import socket
from collections.abc import Callable
from enum import Enum, auto

from services.http import stall
from services.http.tcp_info import acknowledged
from services.linux.open_beneath import OpenFile

TELL_EVERY = 1.0  # seconds

# Bytes: a shorter body is cheaper copied than sent by sendfile, where a client that does not acknowledge the last
# segment at once (Linux: after 40 ms) keeps itself waiting for the rest.
COPIED = 1 << 20
_SLICE = 4 << 20  # bytes at most; a socket usually takes less at once, and clients take turns
COPY, _FIRST_COPY = 1 << 20, 1 << 18  # bytes at most and at first; then twice what the socket took
# Seconds between two looks for acknowledgements that are awaited, at least and at most; the least is doubled each time,
# since a thousand clients at the end of their files may keep us waiting together.
_FIRST_LOOK, _LAST_LOOK = 0.001, 0.25


class FileAltered(ConnectionError):  # noqa: N818 - one of the ways in which a connection ends, beside ConnectionReset…
    """The file is no longer what it was when it was opened: its last bytes would not belong to its first."""


class ClientStalled(ConnectionError):  # noqa: N818 - one of the ways in which a connection ends, beside ConnectionReset…
    """The client is too slow, or takes nothing."""

    def __init__(self) -> None:
        super().__init__(f"the client took nothing, or too little, for {stall.STALLED_AFTER:.0f} s")


class Phase(Enum):
    """What a transfer does next."""

    PAGES = auto()  # of the file's, by sendfile
    HELD = auto()  # until those are acknowledged
    COPIES = auto()
    SENT = auto()  # the last acknowledgements are awaited
    ARRIVED = auto()


class FileTransfer:
    """Of `body`, bytes of `file`, at least one, behind the answer's `head`, to a non-blocking connection to which
    `before` bytes were written before.

    `progressed` is told, each TELL_EVERY seconds, how many bytes arrived; `ended` once that all did (None) or what came
    between. Both are for whoever runs it: nothing is called from here.
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
        self.phase = Phase.COPIES if self.size <= COPIED else Phase.PAGES
        self.progressed = progressed
        self.ended = ended
        self.over = False
        """For whoever runs it: the end is told, or nobody wants to hear it."""
        self.due = 0.0
        """For whoever runs it: when to look next."""
        self._connection = connection
        self._head = head
        self._file = file
        self._offset, self._stop = body.start, body.stop
        self._held = body.stop - stall.TAIL
        self._awaited = self.size if self.phase is Phase.COPIES else self._held - body.start
        self._before = before + len(head)
        self._piece = _FIRST_COPY
        self._patience: stall.StallClock | None = None
        self._began = self._told = 0.0
        self._pause = _FIRST_LOOK

    @property
    def sent(self) -> int:
        """Bytes of the body that arrived."""
        return self._sent(acknowledged(self._connection)[0])

    def begin(self, now: float) -> None:
        """From here on the client's time runs."""
        self._began = self._told = now
        self._patience = stall.StallClock(self.size, now)
        self.due = now + TELL_EVERY

    def advance(self, buffer: memoryview) -> bool:
        """Give the kernel what it takes; whether it may take more at once. `buffer`, of COPY bytes, is its own.

        Raises OSError when the client went away, Altered when the file became shorter or, of a copy, is another.
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
            raise FileAltered("the file shrank while it was being sent")
        self._offset += taken
        if self._offset < self._held:
            return taken == asked
        self.phase, self._pause = Phase.HELD, _FIRST_LOOK
        return False

    def _send_copy(self, buffer: memoryview) -> bool:
        piece = buffer[: min(self._piece, self._stop - self._offset)]
        read = os.preadv(self._file.fd, [piece], self._offset)
        if not read:
            raise FileAltered("the file shrank while it was being sent")
        if self._offset + read >= self._stop:
            _unaltered(self._file)
        taken = os.write(self.number, piece[:read])
        self._offset += taken
        self._piece = min(2 * taken, COPY)
        if self._offset < self._stop:
            return taken == read
        self.phase, self._pause = Phase.SENT, _FIRST_LOOK
        return False

    def look(self, now: float) -> int | None:
        """See what arrived, and say when to look again (`due`): when the rest should be there if it goes on as before.

        Returns the bytes that arrived when `progressed` is to be told. What was awaited brings it from Phase.HELD to
        COPIES, from SENT to ARRIVED. Raises Stalled, or ConnectionResetError when no more can come.
        """
        assert self._patience is not None, "begin() comes first"
        acked, closed = acknowledged(self._connection)
        sent = self._sent(acked)
        if self._patience.ended(sent, now):
            raise ClientStalled
        self.due = now + TELL_EVERY
        if self.phase in (Phase.HELD, Phase.SENT):
            if sent >= self._awaited or (self.phase is Phase.SENT and self._patience.arrived(now)):
                self.phase = Phase.COPIES if self.phase is Phase.HELD else Phase.ARRIVED
                self._awaited = self.size
            elif closed:
                raise ConnectionResetError("the client closed the connection")
            else:
                expected = (now - self._began) * (self._awaited - sent) / max(sent, self._awaited >> 4, 1)
                self.due = now + min(max(self._pause, expected), _LAST_LOOK)
                self._pause *= 2
        if now - self._told < TELL_EVERY:
            return None
        self._told = now
        return sent

    def has_arrived(self) -> bool:
        """Whether all is sent and acknowledged."""
        return self.phase is Phase.SENT and self.sent >= self.size

    def _sent(self, acked: int) -> int:
        return min(max(acked - self._before, 0), self.size)


def _unaltered(file: OpenFile) -> None:
    """Raise Altered when the content of an open file was written to or cut since it was opened."""
    status = os.fstat(file.fd)
    if status.st_size < file.size:
        raise FileAltered("the file shrank while it was being sent")
    if status.st_size != file.size or status.st_mtime_ns != file.modified_ns:
        raise FileAltered("the file was changed while it was being sent")
