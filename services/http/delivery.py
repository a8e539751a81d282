"""Sending a file over HTTP (RFC 9110, ranges and HEAD), and learning how much of it really arrived.

aiohttp's FileResponse opens its file by name (a race with symbolic links), tells no progress and waits for ever for a
client that stopped reading. Here the file is open already, and the outlet sends it; what arrived is read from the
kernel. A file that is written to while it is sent ends its answers before their last bytes: these are held back until
all others are acknowledged, and go as a copy that was read before the file was looked at. So a client never has as many
bytes as were promised of two contents. There are no conditional requests: a release never changes under its name.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable

from services.files import OpenFile
from services.http import patience
from services.http.answers import HEADERS
from services.http.library import web
from services.http.meter import Meter
from services.http.outlet import Outlet, cork, unaltered

TELL_EVERY = 1.0  # seconds

# Seconds between two looks for acknowledgements that are awaited; doubled each time, since a thousand clients at the
# end of their files may keep us waiting together.
_FIRST_LOOK, _LAST_LOOK = 0.001, 0.25


class Stalled(ConnectionError):  # noqa: N818 - one of the ways in which a connection ends, beside ConnectionReset…
    """The client is too slow, or takes nothing."""

    def __init__(self) -> None:
        super().__init__(f"the client took nothing, or too little, for {patience.STALLED_AFTER:.0f} s")


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


async def drained(request: web.BaseRequest) -> None:
    """Return when the kernel has all that was written to the connection so far: a body passes by aiohttp's buffer.

    Raises Stalled when the client does not take it.
    """
    if request.transport is None or not request.transport.get_write_buffer_size():
        return
    try:
        async with asyncio.timeout(patience.STALLED_AFTER):
            await request.writer.drain()  # to the last byte, as connections.py sets it
    except TimeoutError:
        raise Stalled from None


async def send(outlet: Outlet, file: OpenFile, body: range, meter: Meter, tell: Callable[[int], None]) -> None:
    """Send `body` of `file`; return when the client has acknowledged it (see patience.TAIL). `tell` gets the bytes that
    arrived, each TELL_EVERY seconds.

    The connection may be corked, and is not when all was sent. Nothing else may be written to it meanwhile. Raises
    OSError when the client went away or is too slow (Stalled), or when the file is no longer what it was (Altered).
    """
    held = min(len(body), patience.TAIL)
    try:
        async with asyncio.timeout(None) as limit:
            with contextlib.closing(_Watch(meter, limit, tell)) as watch:
                if bulk := len(body) - held:
                    await outlet.send(meter.connection, file, body.start, body.stop - held)
                    cork(meter.connection, False)
                    await watch.acknowledged(bulk)
                last = os.pread(file.fd, held, body.stop - held)
                unaltered(file)
                await asyncio.get_running_loop().sock_sendall(meter.connection, last)
                cork(meter.connection, False)
                await watch.acknowledged(meter.size)
    except TimeoutError:
        raise Stalled from None


class _Watch:
    """Looks at what arrived, as long as one body is under way; brings `limit` about when the client is too slow."""

    def __init__(self, meter: Meter, limit: asyncio.Timeout, tell: Callable[[int], None]) -> None:
        self._meter = meter
        self._limit = limit
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._told = self._loop.time()
        self._patience = patience.Patience(meter.size, self._told)
        self._awaited: tuple[int, asyncio.Future[None]] | None = None
        self._pause = TELL_EVERY
        self._timer = self._loop.call_later(self._pause, self._look)

    def close(self) -> None:
        """Look no more."""
        self._timer.cancel()

    async def acknowledged(self, size: int) -> None:
        """Return when the first `size` bytes were acknowledged; raises ConnectionResetError when none can come."""
        arrived = self._loop.create_future()
        self._awaited, self._pause = (size, arrived), _FIRST_LOOK
        self._timer.cancel()
        self._look()
        await arrived

    def _look(self) -> None:
        now, sent = self._loop.time(), self._meter.sent
        if self._patience.ended(sent, now):
            self._limit.reschedule(now)
            return
        if now - self._told >= TELL_EVERY:
            self._told = now
            self._tell(sent)
        if self._awaited is not None:
            size, arrived = self._awaited
            if sent >= size or (size == self._meter.size and self._patience.arrived(now)):
                arrived.set_result(None)
            elif self._meter.closed:
                arrived.set_exception(ConnectionResetError("the client closed the connection"))
            self._pause = min(self._pause * 2, _LAST_LOOK)
            if arrived.done():
                self._awaited, self._pause = None, TELL_EVERY
        self._timer = self._loop.call_later(self._pause, self._look)
