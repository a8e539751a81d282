"""TFTP as EDK2 reads it (MTFTP): windows of four blocks, a timeout of 4 s, six tries. Every byte is compared."""

import asyncio
import contextlib
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterator

from bench.crowd import BOX
from tests.fakes.tftp_peer import ack, error, oack

TIMEOUTS = (4.0,) * 6
"""Seconds between tries."""

BLKSIZE, WINDOWSIZE = 1468, 4


class GaveUp(Exception):  # noqa: N818 - what firmware does
    """The PC did not boot. The message says why."""


class Download:
    """One file by TFTP (RFC 1350, 7440), as EDK2 reads it: a whole window or a gap is acknowledged."""

    def __init__(self, udp: socket.socket, expected: bytes, request: bytes) -> None:
        self._udp = udp
        self._expected = expected
        self._last = request
        self._server = (str(BOX), 69)
        self._received = 0
        self._unacked = 0
        self._gap = False
        self._heard_at = time.monotonic()
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def whole(self, repeated: Counter[str]) -> None:
        """Return after the last byte; GaveUp when the server falls silent or refuses."""
        say(self._udp, self._last, self._server)
        tries = 0
        while True:
            before = self._received
            wait = TIMEOUTS[tries] - (time.monotonic() - self._heard_at)
            done, _ = await asyncio.wait([self._done], timeout=max(wait, 0.01))
            if done:
                return self._done.result()
            if self._received > before:
                tries = 0
            if time.monotonic() - self._heard_at < TIMEOUTS[tries]:
                continue
            tries += 1
            if tries == len(TIMEOUTS):
                raise GaveUp(f"TFTP: silence behind block {self._received}")
            repeated["loader"] += 1
            self._heard_at = time.monotonic()
            say(self._udp, self._last, self._server)

    def read(self) -> None:
        """Process all datagrams that have arrived."""
        while not self._done.done():
            try:
                datagram, self._server = self._udp.recvfrom(2048)
            except BlockingIOError:
                return
            try:
                self._take(datagram)
            except (AssertionError, GaveUp) as why:
                self._done.set_exception(why)

    def _take(self, datagram: bytes) -> None:
        opcode, number = struct.unpack_from("!HH", datagram)
        if opcode == 5:
            raise GaveUp("TFTP error {} {}".format(*error(datagram)))
        if opcode == 6:
            assert oack(datagram) == {"blksize": str(BLKSIZE), "windowsize": str(WINDOWSIZE)}
            self._answer(0)
            return
        if number != (self._received + 1) & 0xFFFF:
            if not self._gap:
                self._gap = True
                self._answer(self._received)
            return
        assert self._expected.startswith(datagram[4:], self._received * BLKSIZE), f"wrong bytes in block {number}"
        self._received += 1
        self._unacked += 1
        self._gap = False
        self._heard_at = time.monotonic()
        last = len(datagram) < 4 + BLKSIZE
        if last or self._unacked == WINDOWSIZE:
            self._answer(self._received)
        if last:
            have = (self._received - 1) * BLKSIZE + len(datagram) - 4
            assert have == len(self._expected), f"{have} bytes of {len(self._expected)}"
            self._done.set_result(None)

    def _answer(self, block: int) -> None:
        self._unacked = 0
        self._last = ack(block)
        say(self._udp, self._last, self._server)


def say(udp: socket.socket, datagram: bytes, to: tuple[str, int]) -> None:
    """Send a datagram."""
    with contextlib.suppress(BlockingIOError):  # no buffer space: as if lost on the wire
        udp.sendto(datagram, to)


def first(udp: socket.socket, answer: "asyncio.Future[bytes]") -> Callable[[], None]:
    """A reader that sets the first datagram as the result of `answer`."""

    def read() -> None:
        datagram = udp.recv(4096)
        if not answer.done():
            answer.set_result(datagram)

    return read


@contextlib.contextmanager
def reading(udp: socket.socket, read: Callable[[], None]) -> Iterator[None]:
    """Make the event loop call `read` whenever something arrives."""
    loop = asyncio.get_running_loop()
    loop.add_reader(udp, read)
    try:
        yield
    finally:
        loop.remove_reader(udp)
