"""Sending a file over HTTP by sendfile (RFC 9110, ranges and HEAD), and learning how much of it really arrived.

aiohttp's FileResponse also uses sendfile, but opens its file by name (a race with symbolic links), tells no progress
and waits for ever for a client that stopped reading. Here the file is open already and goes out in slices; what arrived
is read from the kernel, where TCP_INFO counts the acknowledged bytes. There are no conditional requests: a release
never changes under its name.
"""

import asyncio
import contextlib
import fcntl
import os
import socket
import struct
import termios
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from services.files import OpenFile
from services.http.answers import HEADERS

STALLED_AFTER = 60.0  # seconds in which a client has to take one slice

# iPXE under UEFI starts the kernel without acknowledging the last segments it took (Debian 12's iPXE of 2019: 9.6 kB
# of 15 MB): a tail of this many bytes, unacknowledged for this many seconds after all was sent, has arrived.
TAIL = 65536
TAIL_QUIET = 1.0

_SLICE = 1 << 20
_POLL = 0.02
_TCP_INFO_SIZE = 136
_TCP_STATE = struct.Struct("B")  # struct tcp_info: tcpi_state is its first octet,
_TCP_ACKED = struct.Struct("Q")  # and tcpi_bytes_acked stands at 120, since Linux 4.1
_ACKED_AT = 120
_TCP_CLOSE = 7


class Stalled(ConnectionError):  # noqa: N818 - one of the ways in which a connection ends, beside ConnectionReset…
    """The client has not taken a slice in STALLED_AFTER seconds, or the file became shorter."""


@dataclass(slots=True)
class Meter:
    """Bytes of one response's body that the client's kernel has acknowledged, of `size`."""

    connection: socket.socket
    size: int
    start: int

    @classmethod
    def begin(cls, transport: asyncio.Transport, size: int) -> "Meter":
        """Count from here: all that was written to `transport` before is not the body."""
        # The duplicate keeps the counter readable after aiohttp closed its end.
        connection: socket.socket = transport.get_extra_info("socket").dup()
        _, acked = _tcp_state(connection)
        while True:
            queued = struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4)))[0]
            before, (_, acked) = acked, _tcp_state(connection)
            if before == acked:  # else an ACK came between the two readings, which then do not add up
                return cls(connection, size, acked + queued + transport.get_write_buffer_size())

    @property
    def sent(self) -> int:
        """Bytes of the body that arrived."""
        return min(max(_tcp_state(self.connection)[1] - self.start, 0), self.size)

    @property
    def closed(self) -> bool:
        """Whether the connection is gone, so that nothing more can arrive."""
        return _tcp_state(self.connection)[0] == _TCP_CLOSE


def _tcp_state(connection: socket.socket) -> tuple[int, int]:
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_SIZE)
    return _TCP_STATE.unpack_from(info)[0], _TCP_ACKED.unpack_from(info, _ACKED_AT)[0]


def respond(request: web.BaseRequest, size: int) -> tuple[web.StreamResponse, range]:
    """The headers of the answer, and which bytes of a file of `size` go with it.

    A range that cannot be read is ignored, as RFC 9110 allows; one behind the end gets 416.
    """
    start, stop, status = 0, size, 200
    with contextlib.suppress(ValueError):
        wanted = request.http_range
        if wanted.start is not None:
            first = max(wanted.start + size, 0) if wanted.start < 0 else wanted.start
            start, stop, status = first, min(wanted.stop or size, size), 206
    headers = {**HEADERS, "Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
    if status == 206 and start >= size:
        return web.StreamResponse(status=416, headers={**headers, "Content-Range": f"bytes */{size}"}), range(0)
    if status == 206:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    return web.StreamResponse(status=status, headers=headers), range(start, stop)


async def send(
    transport: asyncio.Transport, file: OpenFile, body: range, meter: Meter, tell: Callable[[], None]
) -> None:
    """Send `body` of `file`; return when the client has acknowledged it (see TAIL). `tell` is called after each step.

    Raises ConnectionError when the client went away or stalled.
    """
    loop = asyncio.get_running_loop()
    with os.fdopen(file.fd, "rb", buffering=0, closefd=False) as content:
        for offset in range(body.start, body.stop, _SLICE):
            count = min(_SLICE, body.stop - offset)
            try:
                async with asyncio.timeout(STALLED_AFTER):
                    taken = await loop.sendfile(transport, content, offset, count)
            except TimeoutError:
                raise Stalled(f"the client took nothing for {STALLED_AFTER:.0f} s") from None
            if taken < count:
                raise Stalled("the file shrank while it was being sent")
            tell()
    await _acknowledged(meter, tell)


async def _acknowledged(meter: Meter, tell: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    before, progressed = meter.sent, loop.time()
    while (sent := meter.sent) < meter.size:
        if meter.closed:
            raise ConnectionResetError("the client closed the connection")
        if sent > before:
            before, progressed = sent, loop.time()
        elif 0 < sent >= meter.size - TAIL and loop.time() - progressed > TAIL_QUIET:
            return
        elif loop.time() - progressed > STALLED_AFTER:
            raise Stalled(f"the client took nothing for {STALLED_AFTER:.0f} s")
        tell()
        await asyncio.sleep(_POLL)
