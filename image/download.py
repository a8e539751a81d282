"""Reads files that somebody else offers, below an address of http, https or file. Nothing that is read is believed.

Bounds: no answer is longer than asked for, none may pause for half a minute or come slower than a kilobyte a second,
and its head has a minute. Redirects lead to http and https only. The proxy is that of the environment (`https_proxy`).
"""

import http.client
import os
import socket
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote, unquote, urlsplit

from image import plain_files

_PAUSE = 30.0  # seconds
_HEAD = 60.0  # seconds
_WINDOW = 60.0  # seconds in which …
_SLOWEST = 60_000  # … so many bytes must come
_CHUNK = 1 << 16


class DownloadError(Exception):
    """A file was not read, or not to its end: the text says why. `lasting`: it makes no sense to try again."""

    def __init__(self, message: str, *, lasting: bool = False) -> None:
        super().__init__(message)
        self.lasting = lasting


class _Punctual(http.client.HTTPConnection):
    """A connection whose server has to answer in time: a byte now and then is no answer."""

    def getresponse(self) -> http.client.HTTPResponse:
        timer = threading.Timer(_HEAD, self._end)
        timer.daemon = True
        timer.start()
        try:
            return super().getresponse()
        finally:
            timer.cancel()

    def _end(self) -> None:
        with suppress(OSError):
            if self.sock is not None:
                self.sock.shutdown(socket.SHUT_RDWR)


class _PunctualTls(_Punctual, http.client.HTTPSConnection):
    """The same with TLS."""


class _Http(urllib.request.HTTPHandler):
    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_Punctual, request)


class _Https(urllib.request.HTTPSHandler):
    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_PunctualTls, request, context=ssl.create_default_context())


class _Redirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, request: urllib.request.Request, answer: Any, *others: Any
    ) -> urllib.request.Request | None:
        # Its body would be read to the end, which it may not have.
        answer.close()
        return super().redirect_request(request, answer, *others)


class Place:
    """Where releases are offered. Raises ValueError for an address that cannot be used."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url.strip())
        if parts.scheme not in ("http", "https", "file"):
            raise ValueError("it begins with https://, http:// or file:///")
        if parts.scheme == "file" and (parts.netloc not in ("", "localhost") or not parts.path.startswith("/")):
            raise ValueError("a directory of this machine is file:///DIRECTORY")
        if parts.scheme != "file" and not parts.hostname:
            raise ValueError("it names no server")
        if "@" in parts.netloc:
            raise ValueError("a name and a password in it can be seen by every user of this machine")
        if parts.query or parts.fragment:
            raise ValueError("what follows ? or # would be lost: file names come after it")
        self._url = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}/"
        self._folder = Path(unquote(parts.path)) if parts.scheme == "file" else None
        self._opener = urllib.request.OpenerDirector()
        for handler in (
            urllib.request.ProxyHandler(),
            _Http(),
            _Https(),
            _Redirects(),
            urllib.request.UnknownHandler(),
            urllib.request.HTTPErrorProcessor(),
            urllib.request.HTTPDefaultErrorHandler(),
        ):
            self._opener.add_handler(handler)

    def read(self, name: str, largest: int) -> bytes:
        """The content of a small file. Raises DownloadError, also if it is larger."""
        content = bytearray()
        with self._opened(name, 0) as (stream, _):
            for chunk in _chunks(stream, largest + 1, name):
                content += chunk
        if len(content) > largest:
            raise DownloadError(f"{name} has more than {largest:,} bytes", lasting=True)
        return bytes(content)

    def fetch(self, name: str, part: Path, size: int, tell: Callable[[int], None]) -> None:
        """Complete a file that may have its beginning already to `size` bytes; `tell` gets the number of each chunk.
        What came stays there. Raises DownloadError and OSError."""
        with part.open("ab") as file:
            have = file.tell()
            if have > size:
                file.truncate(have := 0)
            if have == size:
                return
            with self._opened(name, have) as (stream, begins):
                if begins != have:
                    # The server does not know parts of files: from the beginning then.
                    tell(begins - have)
                    file.truncate(begins)
                for chunk in _chunks(stream, size - begins, name):
                    file.write(chunk)
                    tell(len(chunk))
            got = file.tell()
        if got < size:
            raise DownloadError(f"{name} ended after {got:,} of {size:,} bytes")

    @contextmanager
    def _opened(self, name: str, at: int) -> Iterator[tuple[IO[bytes], int]]:
        """A file from byte `at` on, if its server can do that; and the byte at which it begins."""
        if self._folder:
            try:
                file = plain_files.opened(self._folder / name)
                begins = file.seek(at if file.seek(0, os.SEEK_END) >= at else 0)
            except (OSError, ValueError) as error:
                raise DownloadError(f"{self._folder / name}: {_reason(error)}", lasting=True) from error
            with file:
                yield file, begins
            return
        url = self._url + quote(name)
        headers = {"Accept-Encoding": "identity", "User-Agent": "netboot-appliance"}
        headers |= {"Range": f"bytes={at}-"} if at else {}
        request = urllib.request.Request(url, headers=headers)  # noqa: S310 - the opener knows http and https only
        try:
            answer = self._opener.open(request, timeout=_PAUSE)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 416:
                # There are not so many bytes: what is here is of another file.
                raise DownloadError(f"{name} has fewer bytes than were asked for") from error
            lasting = 400 <= error.code < 500 and error.code not in (408, 425, 429)
            raise DownloadError(f"{name}: {error.code} {error.reason}", lasting=lasting) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise DownloadError(f"{name}: {_reason(error)}") from error
        with answer:
            if answer.status == 206 and (answer.headers.get("Content-Range") or "").startswith(f"bytes {at}-"):
                yield answer, at
            elif answer.status == 200:
                yield answer, 0
            else:
                raise DownloadError(f"{name}: it answers with the status {answer.status}, and not with the file")


def _chunks(stream: Any, size: int, name: str) -> Iterator[bytes]:
    """At most `size` bytes of a stream, as they come."""
    began, came = time.monotonic(), 0
    while size > 0:
        try:
            chunk = stream.read1(min(size, _CHUNK))
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise DownloadError(f"{name}: {_reason(error)}") from error
        if not chunk:
            return
        size -= len(chunk)
        came += len(chunk)
        yield chunk
        if (now := time.monotonic()) >= began + _WINDOW:
            if came < _SLOWEST:
                raise DownloadError(f"{name} comes too slowly: {came:,} bytes in {now - began:.0f} s")
            began, came = now, 0


def _reason(error: Exception) -> str:
    inner = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(inner, TimeoutError):
        return f"nothing came for {_PAUSE:.0f} s"
    return (inner.strerror if isinstance(inner, OSError) else None) or str(inner) or type(inner).__name__
