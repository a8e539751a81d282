"""HTTP/1.1 messages (RFC 9112): bytes to requests by httptools (llhttp), which stops here, and answers to bytes.

Without sockets, and without an opinion about who may have what. What is no HTTP/1.0 or 1.1 request, or too long, makes
its reader `broken`, and nothing is read any more: where the next request would begin cannot be told.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus

import httptools

LONGEST_HEAD = 8 << 10  # bytes that may come, after those a request began with, without the end of its headers
MOST_FIELDS = 64
LONGEST_BODY = 64 << 10  # bytes that are kept of a request's body, and one more when there are more

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
"""To be sent before a body that a client holds back for it (RFC 9110, 10.1.1)."""

_VERSIONS = ("1.0", "1.1")


@dataclass(slots=True, eq=False)
class Request:
    """One request, whose headers are complete. `path` is as it was sent; the names of `fields` are in lower case, of
    repeated ones the last counts; `keep_alive`: the connection may serve the next one; `body` grows until `complete`.
    """

    method: str
    path: str
    fields: dict[str, str]
    keep_alive: bool
    body: bytearray = field(default_factory=bytearray)
    complete: bool = False

    @property
    def whole(self) -> bool:
        """Whether no more of it is needed: it is complete, or longer than may be."""
        return self.complete or len(self.body) > LONGEST_BODY


class RequestReader:
    """The requests of one connection, in the order in which they came; whoever answers one takes it off."""

    def __init__(self) -> None:
        self.requests: deque[Request] = deque()
        self.broken = False
        self._parser: httptools.HttpRequestParser | None = httptools.HttpRequestParser(self)
        self._path = b""
        self._fields: dict[str, str] = {}
        self._in_head = False
        self._head_size = 0

    def feed(self, data: bytes) -> None:
        """Read what came next."""
        if self._parser is None:
            return
        self._head_size += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.close()
        if self._in_head and self._head_size >= LONGEST_HEAD:
            self.close()

    def close(self) -> None:
        """Read nothing more. Reader and parser hold each other until then."""
        self.broken = True
        self._parser = None

    # What follows is called by httptools.

    def on_message_begin(self) -> None:
        """A request begins."""
        self._path, self._fields, self._in_head, self._head_size = b"", {}, True, 0

    def on_url(self, part: bytes) -> None:
        """A part of the request's target."""
        self._path += part

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field, complete."""
        self._fields[name.decode("latin-1").lower()] = value.decode("latin-1")
        if len(self._fields) > MOST_FIELDS:
            raise httptools.HttpParserError("too many fields")

    def on_headers_complete(self) -> None:
        """All before the body is there."""
        self._in_head = False
        parser = self._parser
        if parser is None or parser.get_http_version() not in _VERSIONS:
            raise httptools.HttpParserError("another version")
        method, path = parser.get_method().decode("latin-1"), self._path.decode("latin-1")
        self.requests.append(Request(method, path, self._fields, parser.should_keep_alive()))

    def on_body(self, part: bytes) -> None:
        """A part of the body."""
        body = self.requests[-1].body
        body += part[: LONGEST_BODY + 1 - len(body)]

    def on_message_complete(self) -> None:
        """The request is whole."""
        self.requests[-1].complete = True


@dataclass(frozen=True, slots=True)
class Response:
    """A final answer. `size` is that of a body that does not stand in `body`: a file's, or that of a HEAD request."""

    status: int
    fields: Mapping[str, str]
    body: bytes = b""
    size: int | None = None


def encode(answer: Response, now: float, *, keep_alive: bool) -> bytes:
    """The bytes of an answer, with its body where that stands in it; `now` in seconds since 1970."""
    lines = [
        f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}",
        f"Date: {_date(int(now))}",
        "Server: netboot-appliance",
        f"Connection: {'keep-alive' if keep_alive else 'close'}",
        *(f"{name}: {value}" for name, value in answer.fields.items()),
    ]
    if answer.status != HTTPStatus.NO_CONTENT:
        lines.append(f"Content-Length: {len(answer.body) if answer.size is None else answer.size}")
    return "\r\n".join((*lines, "\r\n")).encode("latin-1") + answer.body


@lru_cache(maxsize=1)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)
