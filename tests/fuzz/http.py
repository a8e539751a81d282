"""Any bytes on several connections to a real HTTP server on loopback, in one input (pieces.py). Some are a stranger's.

Must hold: no fault is logged; a stranger gets not a single byte; only a client that sent its token gets the tar of
secrets; what comes as a part of a file is that part; every connection ends; afterwards no request, connection or
descriptor is left.
"""

import asyncio
import os
import random
import re
import socket
from base64 import b64encode
from ipaddress import IPv4Address
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

from services.decision import Ignore, Reason
from services.ethernet import MacAddress
from services.events import Reported
from services.http.heartbeats import HeartbeatReply
from services.http.server import HttpServer
from tests.fuzz.faults import Faults
from tests.fuzz.pieces import join, split

MAC = MacAddress.parse("52:54:00:aa:bb:cc")
BOOT = "/boot/525400aabbcc"
TOKEN = "T0ken"
PEER, STRANGER = "127.0.0.2", "127.0.0.3"
MOST_PIECES = 4
_SECRET = b"nobody may read this"
_CONTENTS = (b"loader" * 500, b"kernel" * 500, random.Random(1).randbytes(200_000))
_LINES = rb"(?:[^\r]+\r\n)*?"
_PART = re.compile(
    rb"HTTP/1.1 206 [^\r]*\r\n" + _LINES + rb"Content-Range: bytes (\d+)-(\d+)/(\d+)\r\n" + _LINES + rb"\r\n"
)
_SETTLED, _ENDED = 0.02, 10.0  # seconds within which a complete request is served, and a connection ends


def request(path: str, *headers: str, method: str = "GET", body: str = "") -> bytes:
    """A request's bytes."""
    return ("\r\n".join((f"{method} {path} HTTP/1.1", "Host: box", *headers, "", "")) + body).encode("latin-1")


def seeds() -> list[bytes]:
    """All that the server serves, as iPXE, firmware and the live system ask for it, and ways to ask wrongly."""
    image = f"{BOOT}/image/r1"
    report = "stage=computing&uptime=3"
    length = f"Content-Length: {len(report)}"
    requests = [
        request(f"{BOOT}/boot.ipxe", "User-Agent: iPXE/1.0.0"),
        request(f"{BOOT}/loader/snponly.efi", method="HEAD") + request(f"{BOOT}/loader/snponly.efi"),
        request(f"{image}/vmlinuz", "Range: bytes=5-9") + request(f"{image}/initrd.img", "Range: bytes=-5"),
        request(f"{image}/initrd.img", "Range: bytes=100000-")
        + request(f"{image}/initrd.img", "Range: bytes=9-200001"),
        request(f"{BOOT}/{TOKEN}/boinc.tar", "Connection: close"),
        request(f"{BOOT}/wrong/boinc.tar"),
        request(f"{BOOT}/{TOKEN}/exchange", "Content-Length: 0", method="POST"),
        request(f"{BOOT}/wrong/exchange", method="POST"),
        request(f"{BOOT}/{TOKEN}/heartbeat", "Content-Length: 24", method="POST", body="uptime=5\norder=1 done\n\n<"),
        request(f"{BOOT}/menu/rescue.ipxe", f"Authorization: Basic {b64encode(f'u:{TOKEN}'.encode()).decode()}"),
        request(f"{BOOT}/menu/rescue.ipxe", "Authorization: Basic =") + request(f"{BOOT}/menu/rescue.ipxe"),
        request(f"{BOOT}/{TOKEN}/report", length, method="POST", body=report),
        request(f"{BOOT}/{TOKEN}/report", length, "Expect: 100-continue", method="POST", body=report),
        request(f"{BOOT}/{TOKEN}/report", "Transfer-Encoding: chunked", method="POST", body="5\r\nstage\r\n0\r\n\r\n"),
        request(f"{BOOT}/{TOKEN}/report", "Content-Length: 999", "Content-Encoding: gzip", method="POST", body="\x1f"),
        request(f"{BOOT}/image/../secret") + request(f"{BOOT}/image/r1/%2e%2e") + request("http://box:80:80/"),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(50),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ]
    return [join([(whose, each)]) for each in requests for whose in (0, 1, 2)] + [join(enumerate(requests[:4]))]


class Target:
    """The server; it runs from the first input to the last."""

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._folder = TemporaryDirectory()
        folder = Path(self._folder.name)
        (folder / "images" / "r1").mkdir(parents=True)
        (folder / "boot").mkdir()
        (folder / "boot" / "snponly.efi").write_bytes(_CONTENTS[0])
        (folder / "images" / "r1" / "vmlinuz").write_bytes(_CONTENTS[1])
        (folder / "images" / "r1" / "initrd.img").write_bytes(_CONTENTS[2])
        (folder / "images" / "secret").write_bytes(_SECRET)
        self.server = HttpServer(
            IPv4Address("127.0.0.1"),
            0,
            images=folder / "images",
            loaders=folder / "boot",
            admit=lambda _, peer: Ignore(Reason.NOT_ALLOWED) if str(peer) == STRANGER else MAC,
            script=lambda *_: "#!ipxe\necho hello\n",
            autoexec=lambda _: "#!ipxe\necho begin\n",
            entry_script=self._entry_script,
            secrets=lambda _, token, peer: _SECRET if token == TOKEN else Ignore(Reason.TOKEN_INVALID),
            live_list=lambda _, token: "" if token == TOKEN else Ignore(Reason.TOKEN_INVALID),
            live_archive=lambda *_: Ignore(Reason.NO_FILE),
            report=self._report,
            exchange=lambda _, token, peer: TOKEN if token == TOKEN else Ignore(Reason.TOKEN_INVALID),
            heartbeat=lambda _, token, heartbeat, peer: (
                HeartbeatReply(1.0, 60, "") if token == TOKEN else Ignore(Reason.TOKEN_INVALID)
            ),
            emit=lambda _: None,
        )
        self._loop.run_until_complete(self.server.start())
        self._faults = Faults("services.http")
        self._descriptors = len(os.listdir("/proc/self/fd"))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._loop.run_until_complete(self.server.close(0))
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()
        self._folder.cleanup()
        self._faults.close()

    def __call__(self, data: bytes) -> None:
        """Play one input."""
        self._loop.run_until_complete(self._play(data))

    async def _play(self, data: bytes) -> None:
        await asyncio.gather(
            *(self._talk(STRANGER if whose & 1 else PEER, whose, said) for whose, said in split(data, MOST_PIECES))
        )
        assert self.server._connections is not None
        async with asyncio.timeout(_ENDED):
            while self.server._connections.all:
                await asyncio.sleep(0)
            while len(os.listdir("/proc/self/fd")) > self._descriptors:
                await asyncio.sleep(0)
        self._faults.check()

    async def _talk(self, source: str, whose: int, said: bytes) -> None:
        """Send this on one connection, read what comes, and hang up."""
        loop = asyncio.get_running_loop()
        with socket.socket() as tcp:
            tcp.bind((source, 0))
            tcp.connect(("127.0.0.1", self.server.port))
            tcp.setblocking(False)
            received = b""
            async with asyncio.timeout(_ENDED):
                try:
                    cut = len(said) // 2 if whose & 2 else len(said)
                    await loop.sock_sendall(tcp, said[:cut])
                    await self._settled(said[:cut])
                    if said[cut:]:
                        await loop.sock_sendall(tcp, said[cut:])
                        await self._settled(said)
                    tcp.shutdown(socket.SHUT_WR)
                    while chunk := await loop.sock_recv(tcp, 65536):
                        received += chunk
                except OSError:
                    pass  # reset, before or after we hung up
        assert source == PEER or received == b"", "a stranger was answered"
        assert received == b"" or received.startswith(b"HTTP/"), received[:60]
        assert b"HEAD " in said or _parts_fit(received)
        assert _SECRET not in received or TOKEN.encode() in said

    async def _settled(self, said: bytes) -> None:
        """Give the server time to take what was sent; an incomplete request keeps it waiting, so not for long."""
        loop = asyncio.get_running_loop()
        until = loop.time() + _SETTLED
        for _ in range(4):
            await asyncio.sleep(0)
        assert self.server._connections is not None
        while self.server._connections.underway and loop.time() < until:
            await asyncio.sleep(0.0005)

    async def _entry_script(self, mac: MacAddress, peer: IPv4Address, key: str, password: str | None) -> str | Ignore:
        await asyncio.sleep(0)
        return f"#!ipxe\necho {key}\n" if password else Ignore(Reason.PASSWORD_NEEDED)

    def _report(self, mac: MacAddress, token: str, report: Reported, peer: IPv4Address) -> Reported | Ignore:
        return report if token == TOKEN else Ignore(Reason.TOKEN_INVALID)


def _parts_fit(received: bytes) -> bool:
    """Whether each part of a file is the one that its Content-Range says; the last may be cut short."""
    for found in _PART.finditer(received):
        first, last, size = map(int, found.groups())
        assert first <= last < size, found[0]
        body = received[found.end() :][: last - first + 1]
        cut = found.end() + last - first + 1 > len(received)
        fits = [each[first : last + 1] for each in _CONTENTS if len(each) == size]
        if not any(each.startswith(body) if cut else each == body for each in fits):
            return False
    return True
