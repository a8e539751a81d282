"""aiohttp's low-level server with our limits: how many connections, how long, how large, and silence on nonsense.

The low-level server, because a framework's router answers 404, 405 or `100 Continue` before anybody was asked whether
the peer may have an answer.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from aiohttp import web

from services.http.answers import abort

MOST_CONNECTIONS = 2048
HEADERS_WITHIN = 10.0  # seconds for a complete request header, from the connection or from the last answer
LONGEST_LINE = 4096
LONGEST_FIELD = 8190

_NO_LOG = logging.Logger("unused", logging.CRITICAL)  # events tell more than an access log

log = logging.getLogger(__name__)


class _Connection(web.RequestHandler):
    """One client's connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        manager = self._manager
        if manager is not None and len(manager.connections) >= MOST_CONNECTIONS:
            self.transport = None
            transport.close()
            return
        super().connection_made(transport)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer nothing to what is no HTTP request: it cannot be told whether its sender may have an answer."""
        if status >= 500:
            log.error("http: a fault of the program; only this request ends", exc_info=exc)
        return abort(request)


class Connections(web.Server):
    """A protocol factory for `loop.create_server`."""

    def __init__(self, handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]) -> None:
        super().__init__(handler)

    def __call__(self) -> web.RequestHandler:
        """Make the protocol of one connection."""
        return _Connection(
            self,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=HEADERS_WITHIN,
            lingering_time=0,
            access_log=_NO_LOG,
            max_line_size=LONGEST_LINE,
            max_field_size=LONGEST_FIELD,
            auto_decompress=False,
        )
