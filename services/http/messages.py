"""HTTP/1.1 messages (RFC 9112): bytes to requests, by httptools (llhttp), and answers to bytes.

No sockets, and no opinion about who may have what. Anything that is not an HTTP/1.0 or 1.1 request, or is too long,
makes the reader `broken`, and it reads nothing more: nobody can tell where the next request would begin.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus

import httptools

from services.values import value

LONGEST_HEAD = 8 << 10
"""Bytes of a request that are not its body: empty lines before it, its headers, the sizes and extensions of its chunks,
its trailers. The piece in which the request begins is not counted."""
MOST_FIELDS = 64
LONGEST_BODY = 8 << 10  # bytes of a request's body, unless more are allowed

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
"""For a client that waits for this before it sends its body (RFC 9110, 10.1.1)."""

_VERSIONS = ("1.0", "1.1")


@dataclass(slots=True, eq=False)
class Request:
    """A request whose headers are complete. `path` is as the client sent it. The names of `fields` are in lower case;
    of a repeated one the last counts. `keep_alive`: another request may follow. `body` grows until `complete`; of one
    that is longer than `longest_body`, one byte more is kept.
    """

    method: str
    path: str
    fields: dict[str, str]
    keep_alive: bool
    body: bytearray = field(default_factory=bytearray)
    complete: bool = False
    longest_body: int = LONGEST_BODY

    @property
    def whole(self) -> bool:
        """Whether it can be served: it is complete, or its body is too long."""
        return self.complete or len(self.body) > self.longest_body


class RequestReader:
    """Reads the requests of one connection. Remove the first of `requests` once it is answered.

    `too_long`: it is broken because of LONGEST_HEAD. Whatever the parser is in the middle of, bytes that do not become
    the body of a request count towards that: no state of it takes them without end.
    """

    def __init__(self) -> None:
        self.requests: deque[Request] = deque()
        self.broken = False
        self.too_long = False
        self._parser: httptools.HttpRequestParser | None = httptools.HttpRequestParser(self)
        self._path = b""
        self._fields: dict[str, str] = {}
        self._in_head = False
        self._overhead = 0  # bytes that were no body, since the request began or the last one ended

    def feed(self, data: bytes) -> None:
        """Read the next bytes."""
        if self._parser is None:
            return
        self._overhead += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.close()
        if self._overhead >= LONGEST_HEAD:
            self.too_long = True
            self.close()

    def close(self) -> None:
        """Read nothing more. Until then reader and parser reference each other."""
        self.broken = True
        self._parser = None

    # httptools calls the following.

    def on_message_begin(self) -> None:
        """A request begins."""
        self._path, self._fields, self._in_head, self._overhead = b"", {}, True, 0

    def on_url(self, part: bytes) -> None:
        """A part of the request's target."""
        self._path += part

    def on_header(self, name: bytes, value: bytes) -> None:
        """A whole header field, or trailer; the latter are ignored."""
        if not self._in_head:
            return
        self._fields[name.decode("latin-1").lower()] = value.decode("latin-1")
        if len(self._fields) > MOST_FIELDS:
            raise httptools.HttpParserError("too many fields")

    def on_headers_complete(self) -> None:
        """The headers are complete."""
        self._in_head = False
        parser = self._parser
        if parser is None or parser.get_http_version() not in _VERSIONS:
            raise httptools.HttpParserError("another version")
        method, path = parser.get_method().decode("latin-1"), self._path.decode("latin-1")
        self.requests.append(Request(method, path, self._fields, parser.should_keep_alive()))

    def on_body(self, part: bytes) -> None:
        """A part of the body."""
        self._overhead = max(self._overhead - len(part), 0)
        request = self.requests[-1]
        request.body += part[: request.longest_body + 1 - len(request.body)]

    def on_message_complete(self) -> None:
        """The request is complete."""
        self.requests[-1].complete = True
        self._overhead = 0


@value
class Response:
    """A final answer. `size` is for a body that is not in `body`: of a file, or in the answer to HEAD."""

    status: int
    fields: Mapping[str, str]
    body: bytes = b""
    size: int | None = None


def encode(answer: Response, now: float, *, keep_alive: bool) -> bytes:
    """The bytes of an answer, with its body if it has it; `now` in seconds since 1970."""
    fields = "".join([f"{name}: {value}\r\n" for name, value in answer.fields.items()])
    if answer.status != 204:
        fields += f"Content-Length: {len(answer.body) if answer.size is None else answer.size}\r\n"
    return f"{_beginning(answer.status, int(now), keep_alive)}{fields}\r\n".encode("latin-1") + answer.body


@lru_cache(maxsize=16)
def _beginning(status: int, second: int, keep_alive: bool) -> str:
    """What answers of the same kind have in common for a second."""
    return (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
        f"Date: {formatdate(second, usegmt=True)}\r\n"
        "Server: netboot-appliance\r\n"
        f"Connection: {'keep-alive' if keep_alive else 'close'}\r\n"
    )
