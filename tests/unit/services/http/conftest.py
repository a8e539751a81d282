"""A real HTTP server on loopback, and clients that can send anything."""

import asyncio
import hashlib
import random
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from services.decision import Ignore, Reason
from services.ethernet import MacAddress
from services.events import Reported
from services.http.heartbeats import Heartbeat, HeartbeatReply, OrderVerb
from services.http.server import HttpServer
from services.linux.memory_file import MemoryFile
from services.linux.open_beneath import OpenFile
from tests.fakes.event_log import EventLog
from tests.unit.debian import need

MAC = MacAddress.parse("52:54:00:aa:bb:cc")
LOOPBACK = IPv4Address("127.0.0.1")
BOOT = "/boot/525400aabbcc"
SCRIPT = "#!ipxe\necho hello\n"
ENTRY = "#!ipxe\necho an entry\n"
LOADER = random.Random(3).randbytes(170_000)
SQUASHFS = b"hsqs" * 1000
KERNEL = random.Random(2).randbytes(3_000_000)
LARGE = 200_000_000  # more than the buffers of both sockets hold, so the server is still sending it
IMAGE = f"{BOOT}/image/r1"
LIVE_ARCHIVE = random.Random(4).randbytes(2_000_000)
LIVE = hashlib.sha256(LIVE_ARCHIVE).hexdigest()


class Box:
    """The callables of a box that knows one client, whose token is T0ken."""

    def __init__(self) -> None:
        self.admission: MacAddress | Ignore | Exception = MAC
        self.admit_calls: list[tuple[MacAddress | None, IPv4Address]] = []
        self.script_: str | Ignore | Exception = SCRIPT
        self.passwords: list[str | None] = []
        self.reports: list[Reported] = []
        self.heartbeats: list[Heartbeat] = []

    def admit(self, claimed: MacAddress | None, peer: IPv4Address) -> MacAddress | Ignore:
        self.admit_calls.append((claimed, peer))
        if isinstance(self.admission, Exception):
            raise self.admission
        return self.admission

    def script(self, mac: MacAddress, peer: IPv4Address) -> str | Ignore:
        assert (mac, peer) == (MAC, LOOPBACK)
        if isinstance(self.script_, Exception):
            raise self.script_
        return self.script_

    def autoexec(self, mac: MacAddress) -> str | Ignore:
        return f"begin of {mac}\n"

    async def entry_script(self, mac: MacAddress, peer: IPv4Address, key: str, password: str | None) -> str | Ignore:
        assert (mac, peer) == (MAC, LOOPBACK)
        if key == "local":
            return ENTRY
        if key != "rescue":
            return Ignore(Reason.NO_FILE)
        self.passwords.append(password)
        if password is None:
            return Ignore(Reason.PASSWORD_NEEDED)
        if len(self.passwords) > 5:
            return Ignore(Reason.PASSWORDS_BLOCKED)
        return ENTRY if password == "s3cr:et &" else Ignore(Reason.PASSWORD_WRONG)

    def secrets(self, mac: MacAddress, token: str, peer: IPv4Address) -> bytes | Ignore:
        return b"tar of " + mac.bare.encode() if token == "T0ken" else Ignore(Reason.TOKEN_INVALID)

    def live_list(self, mac: MacAddress, token: str) -> str | Ignore:
        return f"{LIVE} {len(LIVE_ARCHIVE)}\n" if token == "T0ken" else Ignore(Reason.TOKEN_INVALID)

    def live_archive(self, mac: MacAddress, token: str, digest: str) -> OpenFile | Ignore:
        if token != "T0ken":
            return Ignore(Reason.TOKEN_INVALID)
        return MemoryFile(LIVE_ARCHIVE).open() if digest == LIVE else Ignore(Reason.NO_FILE)

    def exchange(self, mac: MacAddress, token: str, peer: IPv4Address) -> str | Ignore:
        return "T0ken-2" if token == "T0ken" else Ignore(Reason.TOKEN_INVALID)

    def heartbeat(
        self, mac: MacAddress, token: str, heartbeat: Heartbeat, peer: IPv4Address
    ) -> HeartbeatReply | Ignore:
        if token != "T0ken":
            return Ignore(Reason.TOKEN_INVALID)
        self.heartbeats.append(heartbeat)
        return HeartbeatReply(1790000000.0, 60, "0123456789abcdef", ((7, OrderVerb.SUSPEND),))

    def report(self, mac: MacAddress, token: str, report: Reported, peer: IPv4Address) -> Reported | Ignore:
        if token != "T0ken":
            return Ignore(Reason.TOKEN_INVALID)
        self.reports.append(report)
        return report


@pytest.fixture
def images(tmp_path: Path) -> Path:
    release = tmp_path / "images" / "r1"
    release.mkdir(parents=True)
    (release / "vmlinuz").write_bytes(KERNEL)
    with (release / "initrd.img").open("wb") as file:
        file.truncate(LARGE)
    (release / "live").mkdir()
    (release / "live" / "filesystem.squashfs").write_bytes(SQUASHFS)
    (release / "manifest.json").write_text("{}")
    boot = tmp_path / "boot"
    boot.mkdir()
    (boot / "snponly.efi").write_bytes(LOADER)
    return release.parent


@pytest.fixture
def box() -> Box:
    return Box()


@pytest.fixture
def events() -> EventLog:
    return EventLog()


def make(images: Path, box: Box, events: EventLog, port: int = 0) -> HttpServer:
    """A server for this box, not yet started."""
    return HttpServer(
        LOOPBACK,
        port,
        images=images,
        loaders=images.parent / "boot",
        admit=box.admit,
        script=box.script,
        autoexec=box.autoexec,
        entry_script=box.entry_script,
        secrets=box.secrets,
        live_list=box.live_list,
        live_archive=box.live_archive,
        report=box.report,
        exchange=box.exchange,
        heartbeat=box.heartbeat,
        emit=events,
    )


@pytest.fixture
async def server(images: Path, box: Box, events: EventLog) -> AsyncIterator[HttpServer]:
    server = make(images, box, events)
    await server.start()
    yield server
    await server.close(0)


async def curl(server: HttpServer, path: str, *options: str) -> tuple[int, bytes]:
    """Run curl; return the status (0 if there was no answer) and the output."""
    need("curl")
    process = await asyncio.create_subprocess_exec(
        "curl",
        *("--silent", "--path-as-is", "--max-time", "20", "--write-out", "%{stderr}%{http_code}"),
        *options,
        f"http://127.0.0.1:{server.port}{path}",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return int(err), out


class Connection:
    """A raw TCP connection to the server; it reads only when told to."""

    def __init__(self, tcp: socket.socket) -> None:
        self.tcp = tcp

    async def send(self, request: str) -> None:
        """Send a request, or part of one."""
        await asyncio.get_running_loop().sock_sendall(self.tcp, request.encode("latin-1"))

    async def read(self, until: Callable[[bytearray], bool]) -> bytes:
        """Read until the condition holds, or the server closes or resets the connection."""
        received = bytearray()
        async with asyncio.timeout(60):
            with suppress(ConnectionError):
                while not until(received):
                    if not (chunk := await asyncio.get_running_loop().sock_recv(self.tcp, 1 << 18)):
                        break
                    received += chunk
        return bytes(received)

    async def rest(self) -> bytes:
        """Read to the end."""
        return await self.read(lambda _: False)

    async def count(self) -> int:
        """Read to the end, and count the bytes."""
        counted = 0
        async with asyncio.timeout(60):
            while chunk := await asyncio.get_running_loop().sock_recv(self.tcp, 1 << 18):
                counted += len(chunk)
        return counted

    async def ask(self, request: str) -> bytes:
        """Send, and read to the end."""
        await self.send(request)
        return await self.rest()

    async def begin(self, request: str) -> bytes:
        """Send, and read the headers and what comes with them."""
        await self.send(request)
        return await self.read(lambda received: b"\r\n\r\n" in received)


Connect = Callable[..., Awaitable[Connection]]


@pytest.fixture
async def connect(server: HttpServer) -> AsyncIterator[Connect]:
    """Opens connections; with a small receive buffer the server soon has to wait for us."""
    opened = []

    async def connect(receive_buffer: int | None = None, port: int = server.port) -> Connection:
        tcp = socket.socket()
        opened.append(tcp)
        if receive_buffer is not None:
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        tcp.setblocking(False)
        await asyncio.get_running_loop().sock_connect(tcp, ("127.0.0.1", port))
        return Connection(tcp)

    yield connect
    for tcp in opened:
        tcp.close()


def get(path: str, *headers: str, method: str = "GET") -> str:
    """A raw request."""
    return "\r\n".join((f"{method} {path} HTTP/1.1", "Host: box", *headers, "", ""))
