"""Files out of the page cache into sockets, in a thread of their own.

A slice of a file is half a millisecond of the kernel's work, in which Python's lock is free: TFTP and DHCP, which live
in the event loop, get their turn in the middle of it, on another processor or, since the thread asks for less than its
share, on the same one. Why: docs/adr/0008-http-data-plane.md.
"""

import asyncio
import contextlib
import os
import select
import socket
import threading
from dataclasses import dataclass

from services.files import OpenFile

_SLICE = 4 << 20  # bytes at most; a socket usually takes less at once, and clients take turns
_COPY, _FIRST_COPY = 1 << 20, 1 << 18  # bytes at most and at first; then twice what the socket took
_NICE = 19  # with 10, TFTP waited up to five times as long as without HTTP; what is left suffices for a gigabit


class Altered(ConnectionError):  # noqa: N818 - one of the ways in which a connection ends, beside ConnectionReset…
    """The file is no longer what it was when it was opened: its last bytes would not belong to its first."""


def cork(connection: socket.socket, corked: bool) -> None:
    """Hold back what does not fill a segment (for at most 200 ms), or send it: headers go with the first bytes, and no
    slice ends in a short segment."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, corked)


def _unaltered(file: OpenFile) -> None:
    """Raise Altered when the content of an open file was written to or cut since it was opened."""
    status = os.fstat(file.fd)
    if status.st_size < file.size:
        raise Altered("the file shrank while it was being sent")
    if status.st_size != file.size or status.st_mtime_ns != file.modified_ns:
        raise Altered("the file was changed while it was being sent")


@dataclass(slots=True, eq=False)
class _Stream:
    connection: socket.socket
    file: OpenFile
    offset: int
    stop: int
    copied: bool
    done: asyncio.Future[None]
    piece: int = _FIRST_COPY

    def end(self, error: OSError | None) -> None:
        """Wake who waits for it; in the loop."""
        if self.done.done():
            return
        if error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(error)


class Outlet:
    """All files under way of one server; to be made in its loop, and closed there after the last `send`."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._streams: dict[int, _Stream] = {}
        self._writable = select.epoll()
        self._closing = os.eventfd(0, os.EFD_CLOEXEC)
        self._writable.register(self._closing, select.EPOLLIN)
        self._copy = memoryview(bytearray(_COPY))
        # Held for as long as a slice goes out: a connection must not be closed, and its number be another's, meanwhile.
        self._busy = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="http-outlet", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        os.eventfd_write(self._closing, 1)
        self._thread.join()
        self._writable.close()
        os.close(self._closing)

    async def send(
        self, connection: socket.socket, file: OpenFile, start: int, stop: int, *, copied: bool = False
    ) -> None:
        """Return when the kernel has taken the bytes from `start` to before `stop`, at least one, for a client with no
        other `send`. The connection may be corked, and is not after that.

        `copied`: it has taken a copy, whose last bytes left only after the file was found to be what it was. Else it
        has taken the pages of the file, and what is written to the file before they are acknowledged is sent.
        Raises OSError when the client went away, Altered when the file became shorter or, of a copy, is another.
        """
        number = connection.fileno()
        stream = self._streams[number] = _Stream(connection, file, start, stop, copied, self._loop.create_future())
        self._writable.register(number, select.EPOLLOUT)
        try:
            await stream.done
        finally:
            # Not when the thread has ended it: it holds the lock for as long as a slice of another client goes out.
            if stream.done.cancelled():
                with self._busy:
                    self._forget(number)

    def _run(self) -> None:
        with contextlib.suppress(OSError):  # a sandbox may forbid it; it is only a favour
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        while True:
            for number, _ in self._writable.poll():
                if number == self._closing:
                    return
                with self._busy:
                    if (stream := self._streams.get(number)) is not None:
                        self._turn(number, stream)

    def _turn(self, number: int, stream: _Stream) -> None:
        try:
            stream.offset += self._copies(number, stream) if stream.copied else _slice(number, stream)
            if stream.offset < stream.stop:
                return
            cork(stream.connection, False)
        except BlockingIOError:
            return
        except OSError as error:
            self._end(number, stream, error)
            return
        self._end(number, stream, None)

    def _copies(self, number: int, stream: _Stream) -> int:
        piece = self._copy[: min(stream.piece, stream.stop - stream.offset)]
        read = os.preadv(stream.file.fd, [piece], stream.offset)
        if not read:
            raise Altered("the file shrank while it was being sent")
        if stream.offset + read >= stream.stop:
            _unaltered(stream.file)
        taken = os.write(number, piece[:read])
        stream.piece = min(2 * taken, _COPY)
        return taken

    def _end(self, number: int, stream: _Stream, error: OSError | None) -> None:
        self._forget(number)
        self._loop.call_soon_threadsafe(stream.end, error)

    def _forget(self, number: int) -> None:
        if self._streams.pop(number, None) is not None:
            self._writable.unregister(number)


def _slice(number: int, stream: _Stream) -> int:
    taken = os.sendfile(number, stream.file.fd, stream.offset, min(_SLICE, stream.stop - stream.offset))
    if not taken:
        raise Altered("the file shrank while it was being sent")
    return taken
