"""How the file transfers in a conversation went, judged by their packets. PURE."""

from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Literal

from services.probe.message import (
    Content,
    HttpRequest,
    HttpResponse,
    Packet,
    Reset,
    TftpAck,
    TftpBlock,
    TftpError,
    TftpOptions,
    TftpRequest,
    Unreachable,
)

End = Literal["whole", "size", "silence", "refused", "error", "cut"]


@dataclass
class Download:
    """One file that was asked for. `end` is how it ended so far, `why` says so in words; `at` is the time of its
    latest packet."""

    protocol: Literal["TFTP", "HTTP"]
    name: str
    server: IPv4Address
    at: float
    tries: int = 1
    end: End = "silence"
    why: str = "nobody answered"
    size: int | None = None
    method: str = "GET"

    @property
    def base(self) -> str:
        """The last part of its name."""
        return self.name.replace("\\", "/").partition("?")[0].rpartition("/")[2]

    @property
    def whole(self) -> bool:
        """Whether the client got it all, as far as can be seen."""
        return self.end == "whole" and self.method != "HEAD"

    @property
    def failed(self) -> bool:
        """Whether the client did not get it."""
        return self.end in ("silence", "refused", "error")


@dataclass
class TftpDownload(Download):
    """A TFTP transfer, followed packet by packet."""

    options: dict[str, str] = field(default_factory=dict)
    granted: dict[str, str] = field(default_factory=dict)
    _blocks: int = 0
    _acked: int = 0
    _last: int | None = None  # the number of the short block, counted without rolling over

    @property
    def _block_size(self) -> int:
        granted = self.granted.get("blksize", "")
        return max(1, int(granted)) if granted.isascii() and granted.isdigit() and len(granted) < 6 else 512

    def repeats(self, request: TftpRequest) -> bool:
        """Whether a request repeats this one, which got no answer."""
        return request.name == self.name and self.end == "silence"

    def take(self, packet: Packet, known_size: int | None) -> None:
        """Take another packet; `known_size` is the size that an earlier request for the same file has shown."""
        self.at = packet.at
        self._follow(packet.content, packet.outgoing)
        if self.size is None:
            size = self.granted.get("tsize", "")
            self.size = int(size) if size.isascii() and size.isdigit() and len(size) < 16 else known_size
        if self.end in ("size", "error", "refused"):
            return
        if self._last is None and self.size is not None and self._acked:
            self._last = self.size // self._block_size + 1
        if self._last is not None and self._acked >= self._last:
            self.end, self.why = "whole", ""
        elif self._blocks or self._acked or self.granted:
            seen = max(self._blocks, self._acked)
            self.end, self.why = "cut", f"{self._acked} of at least {seen} blocks acknowledged so far"

    def _follow(self, content: Content, outgoing: bool) -> None:
        match content:
            case TftpOptions(options):
                self.granted = dict(options)
            case TftpBlock(number, size):
                count = _unrolled(number, self._blocks)
                self._blocks = max(self._blocks, count)
                if size < self._block_size:
                    self._last, self.size = count, (count - 1) * self._block_size + size
            case TftpAck(number):
                self._acked = max(self._acked, _unrolled(number, self._acked))
            case TftpError(code, message) if outgoing:
                sized = code in (0, 8) and "tsize" in self.granted and not self._acked
                self.end, self.why = ("size", "") if sized else ("error", f"the client ended it by ERROR {code}")
                self.why += f": {message}" if message and not sized else ""
            case TftpError(code, message):
                self.end, self.why = "error", f"TFTP ERROR {code}" + (f": {message}" if message else "")
            case Unreachable():
                self.end, self.why = "refused", "nobody listens on the TFTP port there"
            case _:
                pass


@dataclass
class HttpDownload(Download):
    """An HTTP request and the start of its response."""

    def take(self, content: HttpResponse | Reset) -> None:
        """Take the server's reaction."""
        if isinstance(content, Reset):
            self.end, self.why = "refused", "the server reset the connection without an answer"
        elif content.status in (200, 206):
            self.end, self.why, self.size = "whole", "", content.length
        else:
            self.end, self.why = "error", f"HTTP status {content.status}"


def begin_http(request: HttpRequest, packet: Packet) -> HttpDownload:
    """The download that an HTTP request begins."""
    return HttpDownload("HTTP", request.target, packet.server, packet.at, method=request.method)


def _unrolled(number: int, reached: int) -> int:
    """A block number on the wire as a count that does not roll over: the one nearest to `reached`."""
    return reached + ((number - reached + 0x8000) & 0xFFFF) - 0x8000
