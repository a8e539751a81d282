"""The HTTP server on a real socket, against curl and raw connections."""

import asyncio
import logging
import os
import random
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from services.decision import Ignore, Reason
from services.ethernet import MacAddress
from services.events import Ignored, Reported, TransferFailed, TransferProgressed, TransferServed
from services.http import connections, delivery
from services.http import server as http_server
from services.http.reports import LONGEST_REPORT
from services.http.server import HttpServer
from services.sockets import BindError
from tests.fakes.event_log import EventLog

MAC = MacAddress.parse("52:54:00:aa:bb:cc")
LOOPBACK = IPv4Address("127.0.0.1")
BOOT = "/boot/525400aabbcc"
SCRIPT = "#!ipxe\necho hello\n"
KERNEL = random.Random(2).randbytes(3_000_000)
LARGE = 200_000_000  # more than both sockets' buffers hold, so that the server is in the middle of it
IMAGE = f"{BOOT}/image/r1"


class Box:
    """The callables of a box that knows one client, with the token T0ken."""

    def __init__(self) -> None:
        self.admission: MacAddress | Ignore | Exception = MAC
        self.asked: list[tuple[MacAddress | None, IPv4Address]] = []
        self.script_: str | Ignore | Exception = SCRIPT
        self.reports: list[Reported] = []

    def admit(self, claimed: MacAddress | None, peer: IPv4Address) -> MacAddress | Ignore:
        self.asked.append((claimed, peer))
        if isinstance(self.admission, Exception):
            raise self.admission
        return self.admission

    def script(self, mac: MacAddress, peer: IPv4Address) -> str | Ignore:
        assert (mac, peer) == (MAC, LOOPBACK)
        if isinstance(self.script_, Exception):
            raise self.script_
        return self.script_

    def secrets(self, mac: MacAddress, token: str) -> bytes | Ignore:
        return b"tar of " + mac.bare.encode() if token == "T0ken" else Ignore(Reason.TOKEN_INVALID)

    def report(self, mac: MacAddress, token: str, report: Reported) -> Reported | Ignore:
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
    (release / "manifest.json").write_text("{}")
    return release.parent


@pytest.fixture
def box() -> Box:
    return Box()


@pytest.fixture
def events() -> EventLog:
    return EventLog()


def make(images: Path, box: Box, events: EventLog, port: int = 0) -> HttpServer:
    """A server of this box, not started."""
    return HttpServer(
        LOOPBACK,
        port,
        images=images,
        admit=box.admit,
        script=box.script,
        secrets=box.secrets,
        report=box.report,
        emit=events,
    )


@pytest.fixture
async def server(images: Path, box: Box, events: EventLog) -> AsyncIterator[HttpServer]:
    server = make(images, box, events)
    await server.start()
    yield server
    await server.close(0)


async def curl(server: HttpServer, path: str, *options: str) -> tuple[int, bytes]:
    """Status (0 when there was no answer) and output."""
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
    """A raw TCP connection to the server, which reads only when it is told to."""

    def __init__(self, tcp: socket.socket) -> None:
        self.tcp = tcp

    async def send(self, request: str) -> None:
        """Send a request, or a part of one."""
        await asyncio.get_running_loop().sock_sendall(self.tcp, request.encode("latin-1"))

    async def read(self, until: Callable[[bytearray], bool]) -> bytes:
        """What comes until the condition holds, or until the server closes or resets the connection."""
        received = bytearray()
        async with asyncio.timeout(10):
            with suppress(ConnectionError):
                while not until(received):
                    if not (chunk := await asyncio.get_running_loop().sock_recv(self.tcp, 1 << 18)):
                        break
                    received += chunk
        return bytes(received)

    async def rest(self) -> bytes:
        """All that comes until the end."""
        return await self.read(lambda _: False)

    async def count(self) -> int:
        """How many bytes come until the end."""
        counted = 0
        async with asyncio.timeout(20):
            while chunk := await asyncio.get_running_loop().sock_recv(self.tcp, 1 << 18):
                counted += len(chunk)
        return counted

    async def ask(self, request: str) -> bytes:
        """Send, and return all that comes until the end."""
        await self.send(request)
        return await self.rest()

    async def begin(self, request: str) -> bytes:
        """Send, and return the headers and what came with them."""
        await self.send(request)
        return await self.read(lambda received: b"\r\n\r\n" in received)


Connect = Callable[..., Awaitable[Connection]]


@pytest.fixture
async def connect(server: HttpServer) -> AsyncIterator[Connect]:
    """Opens connections; with a small buffer the server soon has to wait for us."""
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


async def test_the_script(server: HttpServer, box: Box, connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert await curl(server, f"{BOOT}/boot.ipxe") == (200, SCRIPT.encode())
    assert box.asked == [(MAC, LOOPBACK)]
    answer = await (await connect()).ask(get(f"{BOOT}/boot.ipxe", "Connection: close"))
    assert b"Cache-Control: no-store" in answer, "the script holds a token"
    assert b"Server: netboot-appliance\r\n" in answer
    assert not caplog.records, "events tell it; there is no access log beside them"


async def test_a_kernel(server: HttpServer, events: EventLog) -> None:
    assert await curl(server, f"{IMAGE}/vmlinuz") == (200, KERNEL)
    served = await events.next(TransferServed)
    assert (served.mac, served.service, served.path, served.size) == (MAC, "http", "image/r1/vmlinuz", len(KERNEL))
    assert [type(event) for event in events.seen] == [TransferProgressed, TransferServed]


@pytest.mark.parametrize(
    ("asked", "got"),
    [
        ("0-0", KERNEL[:1]),
        ("5-9", KERNEL[5:10]),
        ("2999990-", KERNEL[-10:]),
        ("-7", KERNEL[-7:]),
        ("-9999999", KERNEL),
        ("10-99999999", KERNEL[10:]),
    ],
)
async def test_ranges(server: HttpServer, events: EventLog, asked: str, got: bytes) -> None:
    assert await curl(server, f"{IMAGE}/vmlinuz", "--range", asked) == (206, got)
    assert (await events.next(TransferServed)).size == len(got)


async def test_content_range(server: HttpServer) -> None:
    _, head = await curl(server, f"{IMAGE}/vmlinuz", "--head", "--range", "5-9")
    assert b"Content-Range: bytes 5-9/3000000\r\n" in head
    assert b"Content-Length: 5\r\n" in head


async def test_ranges_that_are_none(server: HttpServer) -> None:
    status, head = await curl(server, f"{IMAGE}/vmlinuz", "--range", "3000000-", "--include")
    assert status == 416
    assert b"Content-Range: bytes */3000000\r\n" in head
    assert await curl(server, f"{IMAGE}/vmlinuz", "--header", "Range: bytes=0-1,5-6") == (200, KERNEL)
    assert await curl(server, f"{IMAGE}/vmlinuz", "--header", "Range: lines=1") == (200, KERNEL)


async def test_head(server: HttpServer, events: EventLog) -> None:
    status, head = await curl(server, f"{IMAGE}/vmlinuz", "--head")
    assert status == 200
    assert b"Content-Length: 3000000\r\n" in head
    assert b"Accept-Ranges: bytes\r\n" in head
    assert (await curl(server, f"{BOOT}/boot.ipxe", "--head"))[0] == 200
    assert not events.seen


async def test_an_empty_file(server: HttpServer, images: Path, events: EventLog) -> None:
    (images / "r1" / "vmlinuz").write_bytes(b"")
    assert await curl(server, f"{IMAGE}/vmlinuz") == (200, b"")
    assert (await events.next(TransferServed)).size == 0


async def test_one_connection_serves_several_requests(server: HttpServer, connect: Connect) -> None:
    connection = await connect()
    await connection.send(get(f"{IMAGE}/vmlinuz"))
    answer = await connection.read(lambda received: len(received.partition(b"\r\n\r\n")[2]) >= len(KERNEL))
    assert answer.endswith(KERNEL)
    answer = await connection.ask(get(f"{BOOT}/boot.ipxe", "Connection: close"))
    assert answer.endswith(SCRIPT.encode())


async def test_the_secrets(server: HttpServer, events: EventLog) -> None:
    status, answer = await curl(server, f"{BOOT}/T0ken/boinc.tar", "--include")
    assert status == 200
    assert answer.endswith(b"\r\n\r\ntar of 525400aabbcc")
    assert b"Cache-Control: no-store" in answer
    assert (await curl(server, f"{BOOT}/other/boinc.tar"))[0] == 403
    assert events.seen == [Ignored("http", str(MAC), Reason.TOKEN_INVALID, "boinc.tar")]


async def test_reports(server: HttpServer, box: Box, events: EventLog) -> None:
    url = f"{BOOT}/T0ken/report"
    assert await curl(server, url, "--data", "stage=attached", "--data", "hostid=7") == (204, b"")
    assert box.reports == [Reported(MAC, "attached", {"hostid": "7"})]
    assert (await curl(server, url, "--data", "stage=lunch"))[0] == 400
    assert (await curl(server, f"{BOOT}/other/report", "--data", "stage=reported"))[0] == 403
    assert len(box.reports) == 1
    assert [event.reason for event in events.of(Ignored)] == [Reason.MALFORMED, Reason.TOKEN_INVALID]


async def test_a_report_is_bounded(server: HttpServer, box: Box, tmp_path: Path) -> None:
    (tmp_path / "body").write_bytes(b"stage=reported&log=" + b"x" * LONGEST_REPORT)
    assert (await curl(server, f"{BOOT}/T0ken/report", "--data-binary", f"@{tmp_path / 'body'}"))[0] == 400
    endless = ("--header", "Transfer-Encoding: chunked", "--upload-file", "/dev/zero", "--request", "POST")
    assert (await curl(server, f"{BOOT}/T0ken/report", *endless))[0] == 400
    assert not box.reports


async def test_a_report_that_never_ends_is_cut_off(
    server: HttpServer, box: Box, monkeypatch: pytest.MonkeyPatch, connect: Connect
) -> None:
    monkeypatch.setattr(http_server, "BODY_WITHIN", 0.05)
    request = get(f"{BOOT}/T0ken/report", "Content-Length: 100", method="POST") + "stage=reported"
    assert await (await connect()).ask(request) == b""
    assert not box.reports


@pytest.mark.parametrize(
    ("path", "options", "status"),
    [
        (f"{BOOT}/boot.ipxe", ("--request", "POST"), 405),
        (f"{IMAGE}/vmlinuz", ("--request", "DELETE"), 405),
        (f"{BOOT}/T0ken/boinc.tar", ("--request", "PUT"), 405),
        (f"{BOOT}/T0ken/report", (), 405),
        (f"{BOOT}/nothing", (), 404),
        ("/", (), 404),
        ("/boot/525400aabbcc/image/r2/vmlinuz", (), 404),
        (f"{IMAGE}/manifest.json", (), 404),
        (f"{BOOT}/image/../r1/vmlinuz", (), 404),
        (f"{BOOT}/image/%2e%2e/vmlinuz", (), 404),
        (f"{BOOT}/image/..%2f..%2fsecret/vmlinuz", (), 404),
        (f"{BOOT}/image/current/vmlinuz", (), 404),
        (f"{BOOT}/image/linked/vmlinuz", (), 404),
        (f"{BOOT}/image/fifo/vmlinuz", (), 404),
    ],
)
async def test_what_an_admitted_client_cannot_have(
    server: HttpServer, images: Path, path: str, options: tuple[str, ...], status: int
) -> None:
    (images / "current").symlink_to("r1")
    (images / "linked").mkdir()
    (images / "linked" / "vmlinuz").symlink_to("../r1/vmlinuz")
    (images / "fifo").mkdir()
    os.mkfifo(images / "fifo" / "vmlinuz")
    got, text = await curl(server, path, *options)
    assert got == status
    assert 0 < len(text) < 100


STRANGE_REQUESTS = [
    get(f"{BOOT}/boot.ipxe"),
    get(f"{IMAGE}/vmlinuz"),
    get(f"{IMAGE}/vmlinuz", method="HEAD"),
    get(f"{BOOT}/T0ken/boinc.tar"),
    get(f"{BOOT}/T0ken/report", "Content-Length: 14", "Expect: 100-continue", method="POST"),
    get("/"),
    get("*", method="OPTIONS"),
    get("/", method="BREW"),
    get("http://elsewhere/boot/525400aabbcc/boot.ipxe"),
    get(f"{BOOT}/boot.ipxe", "Upgrade: websocket", "Connection: upgrade"),
    get(f"{BOOT}/boot.ipxe") * 5,
    f"GET {BOOT}/boot.ipxe HTTP/1.0\r\n\r\n",
]
NONSENSE = [
    "\r\n\r\nwhat\r\n\r\n",
    "GET\r\n\r\n",
    "GET / HTTP/9.9\r\n\r\n",
    "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    get(f"{BOOT}/boot.ipxe", "Content-Length: -1"),
    get(f"{BOOT}/boot.ipxe", "Content-Length: 1", "Content-Length: 2"),
    get(f"{BOOT}/boot.ipxe", "Bad Header: x"),
    get("/" + "a" * 20_000),
    get("/", "X: " + "a" * 20_000),
    get("/", *(f"X{i}: a" for i in range(1000))),
    "GET / HTTP/1.1\r\nHost: [\r\n\r\n",
]


@pytest.mark.parametrize("request_", STRANGE_REQUESTS + NONSENSE)
async def test_a_stranger_gets_not_one_byte(server: HttpServer, box: Box, request_: str, connect: Connect) -> None:
    box.admission = Ignore(Reason.NOT_ALLOWED)
    assert await (await connect()).ask(request_) == b""


@pytest.mark.parametrize("request_", NONSENSE)
async def test_nonsense_harms_nobody(
    server: HttpServer, request_: str, caplog: pytest.LogCaptureFixture, connect: Connect
) -> None:
    answer = await (await connect()).ask(request_.replace("\r\n", "\r\nConnection: close\r\n", 1))
    assert b" 200 " not in answer
    assert (await curl(server, f"{BOOT}/boot.ipxe"))[0] == 200
    assert not caplog.records, "nor does it fill the log"


async def test_a_refusal_is_told(server: HttpServer, box: Box, events: EventLog) -> None:
    box.admission = Ignore(Reason.MAC_MISMATCH)
    assert await curl(server, f"{BOOT}/T0ken/boinc.tar") == (0, b"")
    assert await curl(server, "/T0ken") == (0, b"")
    assert events.seen == [
        Ignored("http", str(MAC), Reason.MAC_MISMATCH, "boinc.tar"),
        Ignored("http", "127.0.0.1", Reason.MAC_MISMATCH, "unknown path"),
    ]


async def test_a_fault_ends_only_its_request(server: HttpServer, box: Box, caplog: pytest.LogCaptureFixture) -> None:
    box.script_ = RuntimeError("a fault")
    assert await curl(server, f"{BOOT}/boot.ipxe") == (500, b"internal error\n")
    box.admission = RuntimeError("a fault while nobody knows who asks")
    assert await curl(server, f"{BOOT}/boot.ipxe") == (0, b"")
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2
    box.admission, box.script_ = MAC, SCRIPT
    assert (await curl(server, f"{BOOT}/boot.ipxe"))[0] == 200


async def test_no_script_is_told_with_its_reason(server: HttpServer, box: Box) -> None:
    box.script_ = Ignore(Reason.NO_IMAGE)
    assert await curl(server, f"{BOOT}/boot.ipxe") == (503, b"no image is active\n")


async def test_a_client_that_goes_away(
    server: HttpServer, events: EventLog, caplog: pytest.LogCaptureFixture, connect: Connect
) -> None:
    connection = await connect()
    await connection.begin(get(f"{IMAGE}/initrd.img"))
    await connection.read(lambda received: len(received) >= 1_000_000)
    connection.tcp.close()
    failed = await events.next(TransferFailed)
    assert (failed.path, failed.why) == ("image/r1/initrd.img", "the client closed the connection")
    assert 1_000_000 <= failed.sent < LARGE
    assert not events.of(TransferServed)
    assert not caplog.records


async def test_served_means_acknowledged(server: HttpServer, images: Path, events: EventLog, connect: Connect) -> None:
    """All of it fits into the kernel's buffers, so to have written it proves nothing."""
    size = 600_000
    os.truncate(images / "r1" / "initrd.img", size)
    connection = await connect(16_384)
    await connection.send(get(f"{IMAGE}/initrd.img"))
    assert (await events.next(TransferProgressed)).sent == 0
    for _ in range(10):
        await asyncio.sleep(0.01)
    assert not events.of(TransferServed)
    connection.tcp.close()
    assert (await events.next(TransferFailed)).sent < size


async def test_a_client_that_stops_reading_is_cut_off(
    server: HttpServer, events: EventLog, monkeypatch: pytest.MonkeyPatch, connect: Connect
) -> None:
    monkeypatch.setattr(delivery, "STALLED_AFTER", 0.1)
    connection = await connect(16_384)
    await connection.send(get(f"{IMAGE}/initrd.img"))
    assert "took nothing" in (await events.next(TransferFailed)).why
    connection.tcp.close()


async def test_progress(server: HttpServer, events: EventLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "_REPORT_EVERY", 0.05)
    await curl(server, f"{IMAGE}/initrd.img", "--limit-rate", "400M", "--output", "/dev/null")
    await events.next(TransferServed)
    sent = [event.sent for event in events.of(TransferProgressed)]
    assert sent[0] == 0
    assert len(sent) > 2
    assert sent == sorted(sent)
    assert sent[-1] <= LARGE


async def test_a_file_that_shrinks(server: HttpServer, images: Path, events: EventLog, connect: Connect) -> None:
    connection = await connect(16_384)
    await connection.begin(get(f"{IMAGE}/initrd.img"))
    os.truncate(images / "r1" / "initrd.img", 50_000_000)
    assert len(await connection.rest()) <= 50_000_000
    assert "shrank" in (await events.next(TransferFailed)).why


async def test_a_replaced_file_is_served_to_its_end(
    server: HttpServer, images: Path, events: EventLog, connect: Connect
) -> None:
    connection = await connect(16_384)
    head, _, body = (await connection.begin(get(f"{IMAGE}/initrd.img", "Connection: close"))).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    (images / "r1" / "new").write_bytes(b"new")
    (images / "r1" / "new").replace(images / "r1" / "initrd.img")
    assert len(body) + await connection.count() == LARGE
    await events.next(TransferServed)


@pytest.mark.parametrize("said", ["", "GET /boot/525400aab", get(f"{BOOT}/boot.ipxe")], ids=["none", "half", "idle"])
async def test_silent_connections_are_closed(
    images: Path, box: Box, events: EventLog, monkeypatch: pytest.MonkeyPatch, said: str, connect: Connect
) -> None:
    monkeypatch.setattr(connections, "HEADERS_WITHIN", 0.1)
    server = make(images, box, events)
    await server.start()
    answer = await (await connect(port=server.port)).ask(said)
    assert answer.count(SCRIPT.encode()) == int(said.endswith("\r\n\r\n"))
    await server.close(0)


async def test_connections_are_bounded(server: HttpServer, monkeypatch: pytest.MonkeyPatch, connect: Connect) -> None:
    monkeypatch.setattr(connections, "MOST_CONNECTIONS", 3)
    opened = []
    for _ in range(3):
        connection = await connect()
        assert b" 200 " in await connection.begin(get(f"{BOOT}/boot.ipxe"))
        opened.append(connection)
    assert await (await connect()).ask(get(f"{BOOT}/boot.ipxe")) == b""
    assert (await opened[0].ask(get(f"{BOOT}/boot.ipxe", "Connection: close"))).endswith(SCRIPT.encode())
    for connection in opened[1:]:
        connection.tcp.close()
    assert (await curl(server, f"{BOOT}/boot.ipxe"))[0] == 200


async def test_close_lets_requests_finish(server: HttpServer, events: EventLog, connect: Connect) -> None:
    connection = await connect(16_384)
    idle = await connect()
    _, _, body = (await connection.begin(get(f"{IMAGE}/initrd.img"))).partition(b"\r\n\r\n")
    closing = asyncio.create_task(server.close(10))
    assert len(body) + await connection.count() == LARGE
    assert await idle.rest() == b""
    await closing
    await events.next(TransferServed)
    with pytest.raises(ConnectionRefusedError):
        await connect()


async def test_close_ends_in_time(server: HttpServer, events: EventLog, connect: Connect) -> None:
    connection = await connect(16_384)
    await connection.send(get(f"{IMAGE}/initrd.img"))
    await events.next(TransferProgressed)
    async with asyncio.timeout(2):
        await server.close(0.05)
    assert (await events.next(TransferFailed)).why == "the server stopped"
    connection.tcp.close()


async def test_no_descriptor_leaks(server: HttpServer, events: EventLog) -> None:
    def open_now() -> int:
        return len(os.listdir("/proc/self/fd"))

    await curl(server, f"{IMAGE}/vmlinuz")
    before = open_now()
    for path in ("vmlinuz", "missing", "vmlinuz"):
        await curl(server, f"{IMAGE}/{path}")
    assert open_now() <= before


async def test_a_taken_port_is_named(server: HttpServer, images: Path, box: Box, events: EventLog) -> None:
    with pytest.raises(BindError) as caught:
        await make(images, box, events, server.port).start()
    assert (caught.value.protocol, caught.value.port) == ("tcp", server.port)
