"""The door with real sockets on loopback: who gets in, how many, and how long they may take."""

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable
from ipaddress import IPv4Address
from pathlib import Path

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from appliance.config.file import Config, ServerSettings
from appliance.control import connection, door
from appliance.control.connection import PageConnection
from appliance.control.door import Door, listen
from appliance.errors import UserError
from appliance.page import certificate
from tests.unit.debian import need
from tests.unit.ports import free_port

REQUEST = b"GET / HTTP/1.1\r\nHost: box\r\n\r\n"
FRIEND, STRANGER = "127.0.0.2", "127.0.0.3"


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """`/` says hello, `/body` reads all, `/large` answers megabytes, `/stream` begins and never ends."""
    path = scope["path"]
    if path == "/body":
        while (await receive()).get("more_body"):
            pass
    body = b"x" * (8 << 20) if path == "/large" else b"hello"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body, "more_body": path == "/stream"})
    if path == "/stream":
        while (await receive())["type"] != "http.disconnect":
            pass


class Opened:
    """A door that is open to everybody but STRANGER. `tls`: with the box's own certificate."""

    def __init__(self, directory: Path, *, tls: bool, port: int = 0) -> None:
        context = None
        if tls:
            need("openssl")
            config = Config(directory / "c.toml", server=ServerSettings(data=directory))
            certificate.ensure(config, time.time())
            context = certificate.context(config)
        self.tls = tls
        self._clients: list[asyncio.StreamWriter] = []
        self.config = uvicorn.Config(application, http=PageConnection, ws="none", lifespan="off", log_config=None)
        self.state = uvicorn.server.ServerState()
        self.door = Door(lambda address: address != IPv4Address(STRANGER), self.make, context)
        tcp = listen(IPv4Address("127.0.0.1"), port)
        self.port = tcp.getsockname()[1]
        self.door.open(tcp)

    def make(self) -> PageConnection:
        return PageConnection(self.config, self.state, {})

    async def connect(
        self, source: str = FRIEND, *, tls: bool | None = None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection from an address."""
        anybodys = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        anybodys.check_hostname = False
        anybodys.verify_mode = ssl.CERT_NONE
        wanted = anybodys if (self.tls if tls is None else tls) else None
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=wanted, local_addr=(source, 0))
        self._clients.append(writer)
        return reader, writer

    async def is_served(self, source: str = FRIEND) -> bool:
        """Whether a request from there gets an answer."""
        try:
            reader, writer = await self.connect(source)
        except OSError:
            return False
        writer.write(REQUEST)
        with contextlib.suppress(OSError):
            return (await reader.read(100)).startswith(b"HTTP/1.1 200")
        return False

    async def close(self) -> None:
        """End all connections, at both ends."""
        self.door.close()
        for client in self._clients:
            client.transport.abort()
        await until(lambda: self.door.connections == 0)


async def until(what: Callable[[], object]) -> None:
    """Wait until a condition holds, a minute at most."""
    async with asyncio.timeout(60):
        while not what():
            await asyncio.sleep(0.01)


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
async def opened(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Opened]:
    found = Opened(tmp_path, tls=request.param)
    yield found
    await found.close()


@pytest.fixture
async def secure(tmp_path: Path) -> AsyncIterator[Opened]:
    found = Opened(tmp_path, tls=True)
    yield found
    await found.close()


async def test_strangers_get_no_byte_and_no_handshake(opened: Opened) -> None:
    reader, writer = await opened.connect(STRANGER, tls=False)
    writer.write(REQUEST)
    with contextlib.suppress(ConnectionError):
        assert await reader.read() == b""
    assert opened.door.connections == 0
    assert opened.door.turned_away == 1
    assert await opened.is_served()


async def test_an_address_has_so_many_connections_and_the_others_are_free(
    secure: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "MOST_PER_ADDRESS", 3)
    held = [await secure.connect() for _ in range(3)]
    assert not await secure.is_served()
    assert await secure.is_served("127.0.0.4")
    held[0][1].close()
    await until(lambda: secure.door.connections == 2)
    assert await secure.is_served()


async def test_ten_thousand_that_stay_are_refused_beyond_the_bound(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From many addresses, so that the bound for each does not count. The rest waits for a moment, and is closed."""
    monkeypatch.setattr(door, "_FULL", 0.05)
    held = await crowd(opened, door.MOST_CONNECTIONS + 200)
    await until(lambda: opened.door.connections + opened.door.turned_away == len(held))
    assert opened.door.connections == door.MOST_CONNECTIONS
    assert not await opened.is_served()
    for tcp in held:
        tcp.close()
    await until(lambda: opened.door.connections == 0)
    assert await opened.is_served()


async def crowd(opened: Opened, many: int) -> list[socket.socket]:
    """Connections that say nothing, each from an address of its own."""
    held: list[socket.socket] = []
    for number in range(many):
        tcp = socket.socket()
        tcp.bind((f"127.1.{number // 250}.{1 + number % 250}", 0))
        tcp.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            tcp.connect(("127.0.0.1", opened.port))
        held.append(tcp)
        if number % 50 == 0:
            await asyncio.sleep(0)
    return held


async def test_while_all_places_are_taken_nobody_is_accepted_and_who_waits_gets_the_next_place(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "MOST_CONNECTIONS", 8)
    monkeypatch.setattr(door, "_FULL", 600.0)
    held = await crowd(opened, 8)
    await until(lambda: opened.door.connections == 8)
    waiting = asyncio.create_task(opened.is_served("127.0.0.9"))
    # It is connected to the kernel; nobody else is heard meanwhile, and the door does nothing for it.
    more = await crowd(opened, 20)
    await asyncio.sleep(0.2)
    assert (opened.door.connections, opened.door.turned_away, waiting.done()) == (8, 0, False)
    for tcp in (*held, *more):
        tcp.close()
    async with asyncio.timeout(10):
        assert await waiting, "the flood has ended: at once, and not with a timer"


async def test_who_waits_among_a_flood_that_comes_again_and_again_gets_in_at_the_first_attempt(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever of the flood gets in says nothing until its time is up, and comes again at once."""
    monkeypatch.setattr(door, "MOST_CONNECTIONS", 8)
    monkeypatch.setattr(door, "HANDSHAKE_SECONDS", 0.2)
    monkeypatch.setattr(connection, "_LOOK", 0.05)
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.2)
    served = 0

    async def flood(number: int) -> None:
        nonlocal served
        while True:
            with contextlib.suppress(OSError):
                reader, writer = await opened.connect(f"127.2.0.{number}", tls=False)
                await reader.read()
                served += 1
                writer.close()

    flooding = [asyncio.create_task(flood(number)) for number in range(1, 61)]
    try:
        await until(lambda: served > 8)
        async with asyncio.timeout(60):
            assert await opened.is_served("127.0.0.9")
        assert opened.door.turned_away == 0
    finally:
        for task in flooding:
            task.cancel()


async def test_a_door_that_moves_while_it_is_full_accepts_there(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "MOST_CONNECTIONS", 8)
    monkeypatch.setattr(door, "_FULL", 600.0)
    held = await crowd(opened, 9)
    await until(lambda: opened.door.connections == 8)
    port = free_port()
    opened.door.move(IPv4Address("127.0.0.1"), port)
    opened.port = port
    for tcp in held:
        tcp.close()
    await until(lambda: opened.door.connections == 0)
    assert await opened.is_served()


async def test_a_handshake_that_does_not_end_is_ended(secure: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "HANDSHAKE_SECONDS", 0.2)
    reader, writer = await secure.connect(tls=False)
    writer.write(b"\x16\x03\x01")
    assert await reader.read() == b""
    await until(lambda: secure.door.connections == 0)
    assert not secure.state.connections


async def test_nonsense_in_place_of_a_handshake_ends_that_connection_alone(secure: Opened) -> None:
    reader, writer = await secure.connect(tls=False)
    writer.write(REQUEST * 100)
    with contextlib.suppress(ConnectionError):
        assert b"hello" not in await reader.read()
    await until(lambda: secure.door.connections == 0)
    assert await secure.is_served()


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: box\r\n",
        REQUEST + b"GET / HTTP/1.1\r\n",
        b"POST /body HTTP/1.1\r\nHost: box\r\nContent-Length: 10\r\n\r\nx",
    ],
    ids=["nothing", "half a head", "half a second head", "half a body"],
)
async def test_a_request_that_does_not_end_is_ended(
    opened: Opened, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(connection, "_LOOK", 0.05)
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.3)
    monkeypatch.setattr(connection, "BODY_SECONDS", 0.3)
    reader, writer = await opened.connect()
    writer.write(sent)
    async with asyncio.timeout(60):
        with contextlib.suppress(ConnectionError):
            await reader.read()
    await until(lambda: opened.door.connections == 0)


async def test_bytes_that_trickle_do_not_keep_a_connection(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_LOOK", 0.05)
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.5)
    _, writer = await opened.connect()
    writer.write(b"GET / HTTP/1.1\r\nX: ")
    await until(lambda: opened.state.connections)
    async with asyncio.timeout(60):
        with contextlib.suppress(ConnectionError):
            while opened.door.connections:
                writer.write(b"x")
                await asyncio.sleep(0.02)


async def test_an_answer_that_is_not_read_is_ended(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_LOOK", 0.05)
    monkeypatch.setattr(connection, "UNREAD_SECONDS", 0.3)
    _, writer = await opened.connect()
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    writer.write(b"GET /large HTTP/1.1\r\nHost: box\r\n\r\n")
    await until(lambda: opened.state.connections)
    await until(lambda: opened.door.connections == 0)
    assert await opened.is_served()


async def test_a_stream_that_is_read_may_last(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_LOOK", 0.02)
    for name in ("HEAD_SECONDS", "BODY_SECONDS", "UNREAD_SECONDS"):
        monkeypatch.setattr(connection, name, 0.1)
    reader, writer = await opened.connect()
    writer.write(b"GET /stream HTTP/1.1\r\nHost: box\r\n\r\n")
    assert b"hello" in await reader.readuntil(b"hello")
    looks: list[PageConnection] = []
    look = PageConnection._look

    def counted(self: PageConnection) -> None:
        looks.append(self)
        look(self)

    monkeypatch.setattr(PageConnection, "_look", counted)
    await until(lambda: len(looks) > 20)
    assert opened.door.connections == 1


async def test_a_head_has_32_kilobytes_at_most(opened: Opened) -> None:
    opened.config.h11_max_incomplete_event_size = connection.LARGEST_HEAD
    reader, writer = await opened.connect()
    writer.write(b"GET / HTTP/1.1\r\nX: " + b"x" * (64 << 10))
    with contextlib.suppress(ConnectionError):
        assert b"400" in await reader.read(100)


async def test_another_certificate_is_for_new_connections(secure: Opened, tmp_path: Path) -> None:
    _, before = await secure.connect()
    (tmp_path / "other").mkdir()
    config = Config(tmp_path / "c.toml", server=ServerSettings(data=tmp_path / "other"))
    fresh = certificate.ensure(config, time.time())
    secure.door.tls = certificate.context(config)
    _, after = await secure.connect()

    def shown(writer: asyncio.StreamWriter) -> bytes:
        found: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        return found

    assert shown(after) == ssl.PEM_cert_to_DER_cert(fresh.path.read_text().partition("-----END PRIVATE KEY-----\n")[2])
    assert shown(before) != shown(after)


async def test_it_can_move_to_another_port(secure: Opened) -> None:
    _, held = await secure.connect()
    tcp = listen(IPv4Address("127.0.0.1"), 0)
    before, secure.port = secure.port, tcp.getsockname()[1]
    secure.door.open(tcp)
    assert await secure.is_served()
    assert not held.is_closing()
    with pytest.raises(OSError):
        await asyncio.open_connection("127.0.0.1", before)


async def test_it_can_move_from_all_addresses_to_one_of_the_same_port(tmp_path: Path) -> None:
    # One that is free on this address may be somebody's on another.
    found = Opened(tmp_path, tls=False, port=free_port())
    try:
        found.door.move(IPv4Address("0.0.0.0"), found.port)
        assert await found.is_served()
        found.door.move(IPv4Address("127.0.0.1"), found.port)
        assert await found.is_served()
        with contextlib.closing(listen(IPv4Address("127.0.0.5"), 0)) as taken:
            with pytest.raises(UserError):
                found.door.move(IPv4Address("127.0.0.5"), taken.getsockname()[1])
            with pytest.raises(UserError):
                found.door.move(IPv4Address("203.0.113.1"), found.port)
        assert await found.is_served()
    finally:
        await found.close()


def test_a_port_that_is_taken_is_named() -> None:
    with contextlib.closing(listen(IPv4Address("127.0.0.1"), 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            UserError, match=f"the page cannot listen on 127.0.0.1:{port}: Address already in use"
        ) as it:
            listen(IPv4Address("127.0.0.1"), port)
    assert "[control] listen" in it.value.hint
