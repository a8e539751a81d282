"""Around every request: what its head may say, how much it may send, and what every answer tells the browser.

Host names that nobody gave this box are refused: otherwise a page of another site whose name leads to this address (DNS
rebinding) would be of the same origin.
"""

import json
from ipaddress import AddressValueError, IPv4Address, ip_address
from urllib.parse import urlsplit

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from appliance.control.access.refusals import fault
from appliance.control.context import Context
from appliance.page.networks import admits

LARGEST_BODY = 16 << 10
"""Bytes of a request. Forms and JSON are read before anybody asks who sent them: two megabytes of `&` take seconds."""
LARGEST_LIST = 2 << 20
"""Bytes of a request that brings a list: it is read after its session was found."""
_LISTS = ("/allowlist/import", "/allowlist/import/done")
_POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self';"
    " frame-ancestors 'none'"
)
_HEADERS = (
    ("Content-Security-Policy", _POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    # Not "no-referrer": then browsers do not say which page a form comes from, either.
    ("Referrer-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)


log = structlog.get_logger("control")


class Shield:
    """ASGI middleware, the outermost one."""

    def __init__(self, app: ASGIApp, context: Context) -> None:
        self._app = app
        self._context = context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if not self._comes_from_here(scope):
            await _refuse(send, 403, "this address may not connect")
        elif not self._is_own(headers.get("host", "")):
            await _refuse(send, 421, "this box has no such name: write it into [control] names")
        elif not headers.get("content-length", "0").isdecimal():
            await _refuse(send, 400, "the length of the request is wrong")
        elif "content-length" in headers and "transfer-encoding" in headers:
            # RFC 9112, 6.1: a proxy in front may believe the other one, and take what follows for its next request.
            await _refuse(send, 400, "the request has two lengths")
        elif int(headers.get("content-length", "0")) > _largest(scope):
            await _refuse(send, 413, "the request is too large")
        else:
            await self._pass(scope, receive, send)

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        size = 0
        largest = _largest(scope)
        started = False

        async def bounded() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > largest:
                raise HTTPException(413)
            return message

        async def hardened(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                _harden(MutableHeaders(scope=message), "no-cache" if static else "no-store")
            await send(message)

        static = scope["path"].startswith("/static/")
        try:
            await self._app(scope, bounded, hardened)
        except Exception as error:
            log.error("a fault while answering a request", path=scope["path"], exc_info=error)
            if started:
                # What is half sent ends here: the connection is closed.
                raise
            await fault(Request(scope))(scope, receive, hardened)

    def _comes_from_here(self, scope: Scope) -> bool:
        """Behind a proxy, the door sees the proxy only."""
        if not self._context.config.control.behind_proxy:
            return True
        try:
            return admits(self._context.networks, IPv4Address((scope["client"] or ("",))[0]))
        except AddressValueError:
            return False

    def _is_own(self, host: str) -> bool:
        try:
            name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
        except ValueError:
            return False
        if name in self._context.names or f"*.{name.partition('.')[2]}" in self._context.names:
            return True
        try:
            # No name leads to a page that was asked for by its address.
            return bool(ip_address(name))
        except ValueError:
            return False


def _largest(scope: Scope) -> int:
    return LARGEST_LIST if scope["path"] in _LISTS else LARGEST_BODY


def _harden(headers: MutableHeaders, cache: str = "no-store") -> None:
    for name, value in _HEADERS:
        headers[name] = value
    headers.setdefault("Cache-Control", cache)


async def _refuse(send: Send, status: int, words: str) -> None:
    body = json.dumps({"message": words, "hint": ""}).encode()
    headers = MutableHeaders({"Content-Type": "application/json", "Content-Length": str(len(body))})
    headers["Connection"] = "close"
    _harden(headers)
    await send({"type": "http.response.start", "status": status, "headers": headers.raw})
    await send({"type": "http.response.body", "body": body})
