"""A response that tells an open page what changed, as server-sent events, until its person may no longer look."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from appliance.control.fleet.hub import TooManyPagesError, as_bytes

_BEAT = 15.0
"""Seconds after which a comment shows both ends that the connection is alive."""

_STUCK = 30.0
"""Seconds that a browser may leave what was sent unread; then its place is free for others."""

_RETRY = b"retry: 3000\n\n"


class OpenPage(Protocol):
    """What an open page hears, in a `with` block."""

    def __enter__(self) -> object: ...

    def __exit__(self, *_: object) -> None: ...

    async def next(self, seconds: float) -> list[tuple[str, str]] | None:
        """Events for the page, each with its name and data; empty if there are none within `seconds`; None after the
        end."""


class EventStream(Response):
    """Sends first what the page has missed, then what its listener hears; with too many pages, an error. `ident` is
    what a page that has heard all says when it comes back; `may_look` is asked before each comment."""

    media_type = "text/event-stream"

    def __init__(
        self,
        listen: Callable[[], OpenPage],
        ident: Callable[[], str],
        missed: Callable[[], list[tuple[str, str]]],
        may_look: Callable[[], Awaitable[bool]],
        beat: float = _BEAT,
        stuck: float = _STUCK,
    ) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._listen = listen
        self._ident = ident
        self._missed = missed
        self._may_look = may_look
        self._beat = beat
        self._stuck = stuck

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            listener = self._listen()
        except TooManyPagesError:
            refusal = PlainTextResponse("too many pages are open", 503, {"Retry-After": "60"})
            await refusal(scope, receive, send)
            return
        with listener:
            left = asyncio.ensure_future(_left(receive))
            telling = asyncio.ensure_future(self._tell(listener, send))
            try:
                await asyncio.wait((left, telling), return_when=asyncio.FIRST_COMPLETED)
            finally:
                left.cancel()
                telling.cancel()
                await asyncio.gather(left, telling, return_exceptions=True)

    async def _tell(self, listener: OpenPage, send: Send) -> None:
        missed, ident = self._missed(), self._ident()
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await self._write(send, _RETRY + as_bytes(missed, ident))
        loop = asyncio.get_running_loop()
        asked = loop.time()
        while True:
            events = await listener.next(max(0.0, asked + self._beat - loop.time()))
            ident = self._ident()
            if loop.time() - asked >= self._beat:
                if not await self._may_look():
                    # Loading anew leads to the login.
                    await self._write(send, as_bytes([("anew", "")], ident))
                    break
                asked = loop.time()
                await self._write(send, b":\n\n")
            if events is None:
                break
            if events:
                await self._write(send, as_bytes(events, ident))
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _write(self, send: Send, body: bytes) -> None:
        async with asyncio.timeout(self._stuck):
            await send({"type": "http.response.body", "body": body, "more_body": True})


async def _left(receive: Receive) -> None:
    """Wait until the browser has left."""
    while (await receive())["type"] != "http.disconnect":
        pass
