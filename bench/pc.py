"""One scripted PC of the storm: EDK2's PXE, then iPXE, with the retry timings of that firmware; every byte compared.

EDK2 waits 3.6 s for further offers and iPXE 2 s; this one continues with the first, so a thousand of them are a
heavier load than a thousand PCs. Shares no code with the box.
"""

import asyncio
import contextlib
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from urllib.parse import urljoin, urlsplit

from bench.crowd import BOX, SITE, Crowd, Place
from bench.mtftp import BLKSIZE, TIMEOUTS, WINDOWSIZE, Download, GaveUp, first, reading, say
from tests.fakes.dhcp_client import DISCOVER, REQUEST, Answer, firmware, message
from tests.fakes.tftp_peer import error, oack, rrq
from tests.netns.scripted_pc import BROADCAST, IPXE, BootScript

STAGES = ("discover", "boot server", "loader", "iPXE discover", "script", "kernel", "initrd", "report")
"""The stages of a boot, in order; each is measured from its first packet to its last byte."""

# Seconds between tries. EDK2: DHCPv4 4/8/16/32, boot server 1 s and one more each time, iPXE doubles from 1 s on.
_EDK2_DISCOVER = (4.0, 8.0, 16.0, 32.0)
_EDK2_BOOT_SERVER = (1.0, 2.0, 3.0, 4.0)
_IPXE_DISCOVER = (1.0, 2.0, 4.0, 8.0, 10.0)
_HTTP_TIMEOUT = 60.0
_CHUNK = 1 << 18
_ABORTED = b"\0\5\0\x08User aborted the transfer\0"

_T = TypeVar("_T")


@dataclass(frozen=True)
class Files:
    """The files that the box must serve."""

    loader: bytes
    kernel: bytes
    initrd: bytes

    @classmethod
    def of(cls, loader: Path, release: Path) -> "Files":
        """Read them from the disk."""
        return cls(loader.read_bytes(), (release / "vmlinuz").read_bytes(), (release / "initrd.img").read_bytes())


@dataclass
class Tally:
    """The results of all PCs: seconds by stage, one per PC; repeated packets by stage; why PCs gave up."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: {stage: [] for stage in STAGES})
    repeated: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    data: int = 0


class StormPc:
    """One PC. `boot` runs a whole boot of it."""

    def __init__(self, crowd: Crowd, place: Place, files: Files, tally: Tally, number: int) -> None:
        self.place = place
        self._crowd = crowd
        self._files = files
        self._tally = tally
        self._xid = number << 8
        self._box = (str(BOX), 69)
        self._report = ""

    async def boot(self, start: Callable[[str], "asyncio.Future[None]"] | None = None) -> None:
        """From the DISCOVER to the report that userspace is up: without it the box takes the boot for a vain one.
        `start(stage)`, if given, is awaited before each stage.

        Failures go into the tally and are not raised.
        """
        began = ""
        try:
            with contextlib.closing(self._crowd.tcp(self.place)) as tcp:
                script = ""
                for stage in STAGES:
                    began = stage
                    if start is not None:
                        await start(stage)
                    with self._timed(stage):
                        script = await self._go_through(stage, script, tcp)
        except (GaveUp, OSError, AssertionError, TimeoutError) as why:
            self._tally.failures.append(f"{self.place.mac} in {began}: {why or type(why).__name__}")

    async def _go_through(self, stage: str, known: str, tcp: socket.socket) -> str:
        """One stage; takes what the last one returned and returns what the next one needs: a path or URLs."""
        match stage:
            case "discover":
                return (await self._discover(firmware(7, undi="003010"), _EDK2_DISCOVER, stage)).file
            case "boot server":
                answer = await self._ask_boot_server()
                assert answer.file == known, f"4011 names {answer.file}"
                return known
            case "loader":
                await self._load(known)
                return known
            case "iPXE discover":
                return (await self._discover(firmware(7, *IPXE), _IPXE_DISCOVER, stage)).file
            case "script":
                await asyncio.wait_for(asyncio.get_running_loop().sock_connect(tcp, (str(BOX), 80)), _HTTP_TIMEOUT)
                text = (await self._get(tcp, known, None)).decode()
                script = BootScript.parse(text, known)
                self._report = urljoin(known, f"{script.token}/report")
                return f"{script.kernel} {script.initrd}"
            case "kernel":
                kernel, _, initrd = known.partition(" ")
                await self._get(tcp, kernel, self._files.kernel)
                return initrd
            case "initrd":
                await self._get(tcp, known, self._files.initrd)
                return ""
            case _:
                head, _ = await self._ask(tcp, "POST", self._report, b"stage=reported")
                assert head.startswith(b"HTTP/1.1 204 "), head[:60]
                return ""

    async def _discover(self, options: list[tuple[int, bytes]], waits: Iterable[float], stage: str) -> Answer:
        self._xid += 1
        mac = bytes(self.place.mac)
        with self._crowd.awaiting(self._xid) as answer:

            def ask(secs: int) -> None:
                datagram = message(DISCOVER, mac, options, xid=self._xid, secs=secs, flags=BROADCAST)
                self._crowd.broadcast(self.place, datagram)

            offer = await self._repeat(ask, answer, waits, stage)
        assert offer.kind == "OFFER"
        # The lease is the site's business, but the PC broadcasts its REQUEST.
        taken = [(54, SITE.packed), (50, self.place.address.packed)]
        lease = message(REQUEST, mac, [*options, *taken], xid=self._xid, flags=BROADCAST)
        self._crowd.broadcast(self.place, lease)
        self._crowd.ask_for_box(self.place)
        return offer

    async def _ask_boot_server(self) -> Answer:
        options, address = firmware(7, undi="003010"), str(self.place.address)
        datagram = message(REQUEST, bytes(self.place.mac), options, xid=self._xid, ciaddr=address)
        reply: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        with contextlib.closing(self._crowd.udp(self.place, 4011)) as udp, reading(udp, first(udp, reply)):
            await self._repeat(lambda _: say(udp, datagram, (str(BOX), 4011)), reply, _EDK2_BOOT_SERVER, "boot server")
        answer = Answer.parse(reply.result())
        assert answer.kind == "ACK"
        return answer

    async def _load(self, path: str) -> None:
        """EDK2's way: ask for the size, break off, then fetch."""
        probe = rrq(path, tsize=0, blksize=BLKSIZE)
        reply: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        with contextlib.closing(self._crowd.udp(self.place)) as udp, reading(udp, first(udp, reply)):
            await self._repeat(lambda _: say(udp, probe, self._box), reply, TIMEOUTS, "loader")
            say(udp, _ABORTED, self._box)
        if reply.result()[:2] == b"\0\5":
            raise GaveUp("TFTP error {} {}".format(*error(reply.result())))
        size = oack(reply.result())["tsize"]
        assert int(size) == len(self._files.loader), f"the loader has {size} bytes"
        with contextlib.closing(self._crowd.udp(self.place)) as udp:
            download = Download(udp, self._files.loader, rrq(path, blksize=BLKSIZE, windowsize=WINDOWSIZE))
            with reading(udp, download.read):
                await download.whole(self._tally.repeated)
        self._tally.data += len(self._files.loader)

    async def _repeat(
        self, say: Callable[[int], None], reply: "asyncio.Future[_T]", waits: Iterable[float], stage: str
    ) -> _T:
        """Send it, and again after each of `waits`; `say` gets the seconds since the first time."""
        begun = time.monotonic()
        for tried, wait in enumerate(waits):
            self._tally.repeated[stage] += tried > 0
            say(int(time.monotonic() - begun))
            done, _ = await asyncio.wait([reply], timeout=wait)
            if done:
                return reply.result()
        raise GaveUp("no answer")

    async def _get(self, tcp: socket.socket, url: str, expected: bytes | None) -> bytes:
        """GET over the open connection; compares each chunk with `expected` as it comes, and else returns the body."""
        head, body = await self._ask(tcp, "GET", url)
        assert head.startswith(b"HTTP/1.1 200 "), head[:60]
        (length,) = (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        if expected is None:
            while len(body) < length:
                body += await self._chunk(tcp, 65536)
            return body
        assert length == len(expected), f"{length} bytes instead of {len(expected)}"
        at = 0
        while body or at < length:
            assert expected.startswith(body, at), f"wrong bytes behind {at} of {url}"
            at += len(body)
            await asyncio.sleep(0)  # a thousand share this processor: each PC takes one chunk at a time
            body = await self._chunk(tcp, _CHUNK) if at < length else b""
        self._tally.data += length
        return b""

    async def _ask(self, tcp: socket.socket, method: str, url: str, content: bytes = b"") -> tuple[bytes, bytes]:
        """Send a request; the headers of the answer, and what came with them."""
        fields = f"Host: {BOX}\r\nUser-Agent: iPXE/1.0.0\r\n"
        fields += f"Content-Length: {len(content)}\r\n" if content else ""
        request = f"{method} {urlsplit(url).path} HTTP/1.1\r\n{fields}\r\n".encode()
        await asyncio.get_running_loop().sock_sendall(tcp, request + content)
        head = b""
        while b"\r\n\r\n" not in head:
            head += await self._chunk(tcp, 65536)
        head, _, body = head.partition(b"\r\n\r\n")
        return head, body

    async def _chunk(self, tcp: socket.socket, most: int) -> bytes:
        try:
            chunk = tcp.recv(most)
        except BlockingIOError:
            chunk = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(tcp, most), _HTTP_TIMEOUT)
        if not chunk:
            raise GaveUp("the connection was closed")
        return chunk

    @contextlib.contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        begun = time.monotonic()
        yield
        self._tally.seconds[stage].append(time.monotonic() - begun)
