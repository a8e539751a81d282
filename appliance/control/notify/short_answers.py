"""Answers of mail servers and web services, as far as anybody wants to read them.

An answer that never ends would take all memory, and with it the page. Neither smtplib nor requests, by which apprise
sends, has a limit for the size of an answer, nor for its time as long as something comes now and then.
"""

import smtplib
import time
from contextlib import suppress
from io import BufferedReader
from typing import Any

LARGEST = 64 << 10
"""Bytes of an answer that are read."""

SECONDS = 30.0
"""For all of it; over HTTP, from the end of its head on."""

_AT_ONCE = 4096


class _Lines:
    """What `smtplib` reads answers from."""

    def __init__(self, file: BufferedReader) -> None:
        self._file = file
        self._left = 0
        self._end = 0.0

    def begin(self) -> None:
        """The next line begins an answer."""
        self._left = LARGEST
        self._end = time.monotonic() + SECONDS

    def readline(self, most: int) -> bytes:
        """A line, or as much of it; raises OSError when the answer is too long, or comes in drops."""
        line = bytearray()
        while len(line) < most and not line.endswith(b"\n"):
            if self._left <= 0 or time.monotonic() > self._end:
                raise OSError("its answer does not end")
            part = self._file.peek()[: most - len(line)]
            if not part:
                break
            part = self._file.read(part.find(b"\n") + 1 or len(part))
            self._left -= len(part)
            line += part
        return bytes(line)

    def close(self) -> None:
        """Read no more."""
        self._file.close()


class _ShortReplies(smtplib.SMTP):
    def getreply(self) -> tuple[int, bytes]:
        if self.file is None and self.sock is not None:
            self.file = _Lines(self.sock.makefile("rb"))
        if self.file is not None:
            self.file.begin()
        return super().getreply()


class Smtp(_ShortReplies):
    """A mail server whose answers are bounded."""


class SmtpByTls(_ShortReplies, smtplib.SMTP_SSL):
    """The same, by TLS from the first byte on."""


def install() -> None:
    """Bound all that is asked by `requests` from now on, in this process: apprise offers no other place."""
    import requests.adapters  # noqa: PLC0415 - comes with apprise, which takes a quarter of a second
    import requests.sessions  # noqa: PLC0415
    import urllib3  # noqa: PLC0415

    here = vars(requests.sessions)
    if here["HTTPAdapter"] is not requests.adapters.HTTPAdapter:
        return

    class _Short(requests.adapters.HTTPAdapter):
        def send(
            self,
            request: requests.PreparedRequest,
            stream: bool = False,
            timeout: Any = None,
            verify: bool | str = True,
            cert: Any = None,
            proxies: Any = None,
        ) -> requests.Response:
            answer = super().send(request, True, timeout, verify, cert, proxies)
            content = bytearray()
            end = time.monotonic() + SECONDS
            # What is cut off or garbled was an answer all the same: its status says what became of the message.
            with suppress(urllib3.exceptions.HTTPError, OSError):
                while len(content) < LARGEST and time.monotonic() < end:
                    part = answer.raw.read1(_AT_ONCE, decode_content=True)
                    if not part:
                        break
                    content += part
            answer.raw.close()
            answer._content, answer._content_consumed = bytes(content), True
            return answer

    here["HTTPAdapter"] = _Short
