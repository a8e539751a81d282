"""aiohttp's low-level server with our limits: how many connections, how long, how large, and silence on nonsense.

Who opens many connections, or more than there may be, keeps nobody else out: an address has only so many, and when all
are taken, the one gives way that has been waited with longest for a request.

The low-level server, because a framework's router answers 404, 405 or `100 Continue` before anybody was asked whether
the peer may have an answer.
"""

import asyncio
import logging
import resource
from collections import Counter
from collections.abc import Awaitable, Callable

from services.http.answers import abort
from services.http.delivery import nobody_listens
from services.http.library import web

MOST_CONNECTIONS = 2048
MOST_A_CLIENT = 32
AT_ONCE = 32  # connections that are taken in one turn of the loop
HEADERS_WITHIN = 10.0  # seconds for a complete request header, from the connection or from the last answer
LONGEST_LINE = 4096
LONGEST_FIELD = 2048
MOST_FIELDS = 32  # of a header: with these, a connection that waits holds at most 68 kB of it

_DESCRIPTORS_EACH = 3  # its socket, the meter's, the file
_OTHER_DESCRIPTORS = 250  # everything else of the process, and what is taken in the turns until it is counted

_NO_LOG = logging.Logger("unused", logging.CRITICAL)  # events tell more than an access log

log = logging.getLogger(__name__)


class Connection(web.RequestHandler):
    """One client's connection, from `address`. `heard` is called when anything comes from there."""

    address = ""
    heard: Callable[[], None] = staticmethod(nobody_listens)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.address = (transport.get_extra_info("peername") or ("",))[0]
        if isinstance(self._manager, Connections) and not self._manager.makes_room(self.address):
            self.transport = None
            transport.close()
            return
        super().connection_made(transport)
        assert self.transport is not None
        self.transport.set_write_buffer_limits(0)  # so that to drain means all of it

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self.heard()

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
        super().__init__(self._handle)
        self._handler = handler
        self._of_address: Counter[str] = Counter()
        self._waiting: dict[web.RequestHandler, None] = {}  # for a request, the longest first
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        few = soft != resource.RLIM_INFINITY
        # Never so many that accept(2) fails: asyncio would log that over and over.
        self._fit = max((soft - _OTHER_DESCRIPTORS) // _DESCRIPTORS_EACH, 1) if few else MOST_CONNECTIONS

    def makes_room(self, address: str) -> bool:
        """Whether one more connection from there may be; closes another one where that is needed."""
        if self._of_address[address] >= MOST_A_CLIENT:
            return False
        if len(self._connections) >= min(MOST_CONNECTIONS, self._fit):
            longest = next(iter(self._waiting), None)
            if longest is None:
                return False
            del self._waiting[longest]
            longest.force_close()
        return True

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        """Count it."""
        super().connection_made(handler, transport)
        self._of_address[_address(handler)] += 1
        self._waiting[handler] = None

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        """Count it no more."""
        if handler in self._connections:
            address = _address(handler)
            self._of_address[address] -= 1
            if not self._of_address[address]:
                del self._of_address[address]
            self._waiting.pop(handler, None)
        super().connection_lost(handler, exc)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self._waiting.pop(request.protocol, None)
        try:
            return await self._handler(request)
        finally:
            if request.protocol in self._connections and request.transport is not None:
                self._waiting[request.protocol] = None

    def __call__(self) -> web.RequestHandler:
        """Make the protocol of one connection."""
        return Connection(
            self,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=HEADERS_WITHIN,
            lingering_time=0,
            access_log=_NO_LOG,
            max_line_size=LONGEST_LINE,
            max_headers=MOST_FIELDS,
            max_field_size=LONGEST_FIELD,
            auto_decompress=False,
        )


def _address(handler: web.RequestHandler) -> str:
    return handler.address if isinstance(handler, Connection) else ""
