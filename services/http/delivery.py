"""Sending a file over HTTP (RFC 9110, ranges and HEAD), and learning how much of it really arrived.

aiohttp's FileResponse opens its file by name (a race with symbolic links), tells no progress and waits for ever for a
client that stopped reading. Here the file is open already, and the outlet sends it; what arrived is read from the
kernel. A file that is written to while it is sent ends its answers before their last bytes: these go as a copy that was
read before the file was looked at, and where not all others were copies too, they are held back until those are
acknowledged. So a client never has as many bytes as were promised of two contents. There are no conditional requests: a
release never changes under its name.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Protocol

from services.files import OpenFile
from services.http import patience
from services.http.answers import HEADERS
from services.http.library import web
from services.http.meter import Meter
from services.http.outlet import Outlet, cork

TELL_EVERY = 1.0  # seconds

# Bytes: a shorter body is cheaper copied than sent by sendfile, where a client that does not acknowledge the last
# segment at once (Linux: after 40 ms) keeps itself waiting for the rest.
COPIED = 1 << 20
# Seconds between two looks for acknowledgements that are awaited, at least and at most; the least is doubled each time,
# since a thousand clients at the end of their files may keep us waiting together.
_FIRST_LOOK, _LAST_LOOK = 0.001, 0.25


class Client(Protocol):
    """Who takes a body. `heard` is called when anything comes from there: the next request acknowledges this answer."""

    heard: Callable[[], None]


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


async def send(
    outlet: Outlet, file: OpenFile, body: range, meter: Meter, client: Client, tell: Callable[[int], None]
) -> None:
    """Send `body` of `file`; return when the client has acknowledged it (see patience.TAIL). `tell` gets the bytes that
    arrived, each TELL_EVERY seconds.

    The connection may be corked, and is not when all was sent. Nothing else may be written to it meanwhile. Raises
    OSError when the client went away or is too slow (Stalled), or when the file is no longer what it was (Altered).
    """
    if not body:
        cork(meter.connection, False)
        return
    middle = body.start if len(body) <= COPIED else body.stop - patience.TAIL
    try:
        async with asyncio.timeout(None) as limit:
            with contextlib.closing(_Watch(meter, client, limit, tell)) as watch:
                if middle > body.start:
                    await outlet.send(meter.connection, file, body.start, middle)
                    await watch.acknowledged(middle - body.start)
                await outlet.send(meter.connection, file, middle, body.stop, copied=True)
                await watch.acknowledged(meter.size)
    except TimeoutError:
        raise Stalled from None


class _Watch:
    """Looks at what arrived, as long as one body is under way; brings `limit` about when the client is too slow."""

    def __init__(self, meter: Meter, client: Client, limit: asyncio.Timeout, tell: Callable[[int], None]) -> None:
        self._meter = meter
        self._client = client
        self._limit = limit
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._began = self._told = self._loop.time()
        self._patience = patience.Patience(meter.size, self._began)
        self._awaited: tuple[int, asyncio.Future[None]] | None = None
        self._pause = _FIRST_LOOK
        self._timer = self._loop.call_later(TELL_EVERY, self._look)
        client.heard = self._look

    def close(self) -> None:
        """Look no more."""
        self._timer.cancel()
        self._client.heard = nobody_listens

    async def acknowledged(self, size: int) -> None:
        """Return when the first `size` bytes were acknowledged; raises ConnectionResetError when none can come."""
        arrived = self._loop.create_future()
        self._awaited, self._pause = (size, arrived), _FIRST_LOOK
        self._look()
        await arrived

    def _look(self) -> None:
        self._timer.cancel()
        now, sent = self._loop.time(), self._meter.sent
        if self._patience.ended(sent, now):
            self.close()
            self._limit.reschedule(now)
            return
        if now - self._told >= TELL_EVERY:
            self._told = now
            self._tell(sent)
        if self._awaited is not None:
            size, arrived = self._awaited
            if arrived.done():
                pass  # who awaited it was cancelled
            elif sent >= size or (size == self._meter.size and self._patience.arrived(now)):
                arrived.set_result(None)
            elif self._meter.closed:
                arrived.set_exception(ConnectionResetError("the client closed the connection"))
            if arrived.done():
                self._awaited = None
                if size == self._meter.size:
                    return
        pause = TELL_EVERY
        if self._awaited is not None:
            # When all is there if it goes on as before.
            expected = (now - self._began) * (size - sent) / max(sent, size >> 4)
            pause, self._pause = min(max(self._pause, expected), _LAST_LOOK), self._pause * 2
        self._timer = self._loop.call_later(pause, self._look)


def nobody_listens() -> None:
    """What is `heard` where no body is under way."""
