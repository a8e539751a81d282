"""Clients that download half a file, then the rest: what happens in between is up to the test."""

import re
import socket
from pathlib import PurePosixPath
from typing import Self

from tests.fakes.tftp_peer import Reader, error, rrq
from tests.netns.attacked_box import TIMEOUT, FarPc
from tests.netns.inside import inside

_SMALL_BUFFER = 1 << 16


class Ended(Exception):  # noqa: N818 - a regular way for a transfer to end
    """The server ended the transfer, and the client can tell that the file is incomplete."""


class HalfTftpDownload:
    """A TFTP download. Use as a context manager."""

    def __init__(self, pc: FarPc, name: str) -> None:
        self._reader = Reader(1468, 4)
        self._server = (pc.box, 69)
        self._udp = pc.udp()
        self._udp.settimeout(TIMEOUT)
        self._udp.sendto(rrq(f"{pc.mac.bare}/{name}", blksize=1468, windowsize=4), self._server)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._udp.close()

    def take(self, data: int) -> None:
        """Receive at least `data` bytes in all. Raises Ended."""
        while len(self._reader.content) < data and not self._reader.done:
            datagram = self._udp.recv(2048)
            if datagram[:2] == b"\0\5":
                raise Ended(error(datagram)[1])
            if answer := self._reader.answer(datagram):
                self._udp.sendto(answer, self._server)

    def rest(self) -> bytes:
        """Receive the rest; returns the whole file. Raises Ended."""
        while not self._reader.done:
            self.take(len(self._reader.content) + 1)
        return bytes(self._reader.content)


class HalfHttpDownload:
    """An HTTP download by a client with a small receive buffer. Use as a context manager."""

    def __init__(self, pc: FarPc, name: str) -> None:
        with inside(pc.host):
            self._tcp = socket.socket()
        self._tcp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL_BUFFER)
        self._tcp.settimeout(TIMEOUT)
        self._tcp.bind((pc.address, 0))
        self._tcp.connect((pc.box, 80))
        path = PurePosixPath("/boot", pc.mac.bare) / ("loader" if "/" not in name else "") / name
        self._tcp.sendall(f"GET {path} HTTP/1.1\r\nHost: {pc.box}\r\n\r\n".encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self._tcp.recv(1)
        assert head.startswith(b"HTTP/1.1 200 "), head
        length = re.search(rb"(?i)\r\ncontent-length: (\d+)\r\n", head)
        assert length
        self._promised = int(length[1])
        self._content = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._tcp.close()

    def take(self, data: int) -> None:
        """Receive until `data` bytes are there. Raises Ended."""
        pieces, missing = [self._content], min(data, self._promised) - len(self._content)
        while missing > 0:
            try:
                pieces.append(self._tcp.recv(min(missing, _SMALL_BUFFER)))
            except ConnectionError as reset:
                raise Ended(str(reset)) from reset
            if not pieces[-1]:
                raise Ended("closed before the end")
            missing -= len(pieces[-1])
        self._content = b"".join(pieces)

    def rest(self) -> bytes:
        """Receive the rest; returns the whole file. Raises Ended."""
        self.take(self._promised)
        return self._content
