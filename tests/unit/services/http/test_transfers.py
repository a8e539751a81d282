"""How transfers end: clients that leave, stall or come in great numbers, changed files, a server that stops."""

import asyncio
import gc
import os
import socket
from pathlib import Path

import pytest

from services import draining
from services.events import TransferFailed, TransferProgressed, TransferServed
from services.http import connection_limits, connections, slow_client, transfer
from services.http.server import HttpServer
from services.linux.sockets import BindError
from tests.fakes.event_log import EventLog
from tests.unit.services.http.conftest import (
    BOOT,
    IMAGE,
    LARGE,
    SCRIPT,
    Box,
    Connect,
    curl,
    get,
    make,
)


async def all_closed(server: HttpServer) -> None:
    """Wait until the server has closed all its connections."""
    async with asyncio.timeout(60):
        while server._connections is not None and server._connections.all:
            await asyncio.sleep(0.01)


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
    """All of it fits into the kernel's buffers, so it proves nothing that it was written."""
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
    monkeypatch.setattr(slow_client, "STALLED_AFTER", 0.1)
    connection = await connect(16_384)
    await connection.send(get(f"{IMAGE}/initrd.img"))
    assert "took nothing" in (await events.next(TransferFailed)).why
    connection.tcp.close()


async def test_progress(server: HttpServer, events: EventLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "TELL_EVERY", 0.05)
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


@pytest.mark.parametrize("taken", [1_000_000, LARGE - 200_000], ids=["in the middle", "near the end"])
async def test_a_file_that_is_overwritten_never_arrives_whole(
    server: HttpServer, images: Path, events: EventLog, connect: Connect, taken: int
) -> None:
    """Nobody gets a whole answer that mixes two contents."""
    connection = await connect(16_384)
    head, _, body = (await connection.begin(get(f"{IMAGE}/initrd.img"))).partition(b"\r\n\r\n")
    assert f"Content-Length: {LARGE}".encode() in head
    received = len(body) + len(await connection.read(lambda read: len(read) + len(body) >= taken))
    with (images / "r1" / "initrd.img").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"x")
    assert received + len(await connection.rest()) < LARGE
    assert "changed" in (await events.next(TransferFailed)).why
    assert not events.of(TransferServed)


async def test_a_small_file_that_is_overwritten_never_arrives_whole(
    server: HttpServer, images: Path, events: EventLog, connect: Connect
) -> None:
    """It is copied piece by piece, as the client takes it, and the last piece is not sent."""
    size = 1_000_000
    os.truncate(images / "r1" / "initrd.img", size)
    assert server._connections is not None
    server._connections._acceptor._tcp.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)
    connection = await connect(16_384)
    head, _, body = (await connection.begin(get(f"{IMAGE}/initrd.img"))).partition(b"\r\n\r\n")
    assert f"Content-Length: {size}".encode() in head
    with (images / "r1" / "initrd.img").open("r+b") as file:
        file.write(b"x")
    assert len(body) + len(await connection.rest()) < size
    assert "changed" in (await events.next(TransferFailed)).why
    assert not events.of(TransferServed)


async def test_the_next_request_acknowledges_the_answer_before_it(
    server: HttpServer, images: Path, events: EventLog, monkeypatch: pytest.MonkeyPatch, connect: Connect
) -> None:
    """The transfer ends without a look at what has arrived: here none comes in time."""
    monkeypatch.setattr(transfer, "_FIRST_LOOK", 60.0)
    monkeypatch.setattr(transfer, "_LAST_LOOK", 60.0)
    size = 600_000
    os.truncate(images / "r1" / "initrd.img", 3 * size)
    connection = await connect(16_384)
    for start in range(0, 3 * size, size):
        await connection.send(get(f"{IMAGE}/initrd.img", f"Range: bytes={start}-{start + size - 1}"))
        answer = await connection.read(lambda received: len(received.partition(b"\r\n\r\n")[2]) == size)
        assert answer.partition(b"\r\n\r\n")[2] == bytes(size)
    assert len(events.of(TransferServed)) >= 2


async def test_clients_take_turns(server: HttpServer, events: EventLog, connect: Connect) -> None:
    """One that does not read, or leaves in the middle, does not keep others waiting."""
    reading_nothing, leaving = await connect(16_384), await connect(16_384)
    for connection in (reading_nothing, leaving):
        await connection.begin(get(f"{IMAGE}/initrd.img"))
    leaving.tcp.close()
    assert (await curl(server, f"{IMAGE}/initrd.img", "--output", "/dev/null"))[0] == 200
    assert (await events.next(TransferFailed)).why == "the client closed the connection"
    reading_nothing.tcp.close()


async def test_a_file_that_is_replaced_is_served_to_its_end(
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
    monkeypatch.setattr(connections, "REQUEST_WITHIN", 0.1)
    server = make(images, box, events)
    await server.start()
    answer = await (await connect(port=server.port)).ask(said)
    assert answer.count(SCRIPT.encode()) == int(said.endswith("\r\n\r\n"))
    await server.close(0)


async def test_when_there_are_too_many_connections_the_one_idle_longest_is_closed(
    server: HttpServer, monkeypatch: pytest.MonkeyPatch, connect: Connect
) -> None:
    monkeypatch.setattr(connection_limits, "MOST_CONNECTIONS", 3)
    script = get(f"{BOOT}/boot.ipxe")
    busy, silent, asking = [await connect(16_384) for _ in range(3)]
    assert b" 200 " in await busy.begin(get(f"{IMAGE}/initrd.img"))
    assert b" 200 " in await asking.begin(script)
    fourth = await connect()
    assert await silent.rest() == b""
    assert b" 200 " in await asking.begin(script)
    assert b" 200 " in await fourth.begin(script)
    busy.tcp.close()


async def test_connections_with_a_transfer_are_not_closed_for_others(
    server: HttpServer, monkeypatch: pytest.MonkeyPatch, connect: Connect
) -> None:
    monkeypatch.setattr(connection_limits, "MOST_CONNECTIONS", 2)
    opened = [await connect(16_384) for _ in range(2)]
    for connection in opened:
        assert b" 200 " in await connection.begin(get(f"{IMAGE}/initrd.img"))
    assert await (await connect()).ask(get(f"{BOOT}/boot.ipxe")) == b""
    for connection in opened:
        connection.tcp.close()
    await all_closed(server)
    assert (await curl(server, f"{BOOT}/boot.ipxe"))[0] == 200


async def test_the_connections_of_one_client_are_limited(
    server: HttpServer, monkeypatch: pytest.MonkeyPatch, connect: Connect
) -> None:
    monkeypatch.setattr(connection_limits, "MOST_PER_CLIENT", 2)
    opened = [await connect() for _ in range(2)]
    assert await (await connect()).ask(get(f"{BOOT}/boot.ipxe")) == b""
    for connection in opened:
        assert b" 200 " in await connection.begin(get(f"{BOOT}/boot.ipxe"))
        connection.tcp.close()
    await all_closed(server)
    assert (await curl(server, f"{BOOT}/boot.ipxe"))[0] == 200


async def test_close_lets_requests_finish(server: HttpServer, events: EventLog, connect: Connect) -> None:
    connection = await connect(16_384)
    idle = await connect()
    _, _, body = (await connection.begin(get(f"{IMAGE}/initrd.img"))).partition(b"\r\n\r\n")
    closing = asyncio.create_task(server.close(60))
    assert len(body) + await connection.count() == LARGE
    assert await idle.rest() == b""
    await closing
    await events.next(TransferServed)
    with pytest.raises(ConnectionRefusedError):
        await connect()


async def test_close_takes_no_longer_than_allowed(server: HttpServer, events: EventLog, connect: Connect) -> None:
    connection = await connect(16_384)
    await connection.send(get(f"{IMAGE}/initrd.img"))
    await events.next(TransferProgressed)
    async with asyncio.timeout(30):
        await server.close(0.05)
    assert (await events.next(TransferFailed)).why == "the server stopped"
    connection.tcp.close()


async def test_close_does_not_wait_for_a_client_that_takes_nothing(
    server: HttpServer, events: EventLog, monkeypatch: pytest.MonkeyPatch, connect: Connect
) -> None:
    monkeypatch.setattr(draining, "STILL_AFTER", 0.3)
    connection = await connect(16_384)
    await connection.send(get(f"{IMAGE}/initrd.img"))
    await events.next(TransferProgressed)
    async with asyncio.timeout(60):
        await server.close(3600)
    assert (await events.next(TransferFailed)).why == "the server stopped"
    connection.tcp.close()


async def test_no_descriptor_leaks(server: HttpServer, events: EventLog) -> None:
    def open_now() -> int:
        return len(os.listdir("/proc/self/fd"))

    await curl(server, f"{IMAGE}/vmlinuz")
    await all_closed(server)
    before = open_now()
    for path in ("vmlinuz", "missing", "vmlinuz"):
        await curl(server, f"{IMAGE}/{path}")
    await all_closed(server)
    assert open_now() <= before


async def test_no_reference_cycle_is_left(
    server: HttpServer, events: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "TELL_EVERY", 0.1)  # so long the thread may hold a transfer that is over
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        for path in ("vmlinuz", "initrd.img", "vmlinuz"):
            await curl(server, f"{IMAGE}/{path}")
        await all_closed(server)
        await asyncio.sleep(0.3)
        gc.collect()
        left = [each for each in gc.garbage if isinstance(each, transfer.FileTransfer | connections.Connection)]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert left == []


async def test_a_taken_port_is_named(server: HttpServer, images: Path, box: Box, events: EventLog) -> None:
    with pytest.raises(BindError) as caught:
        await make(images, box, events, server.port).start()
    assert (caught.value.protocol, caught.value.port) == ("tcp", server.port)


async def test_a_fault_in_the_thread_ends_only_its_transfer(
    server: HttpServer, events: EventLog, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for where in ("advance", "look"):
        with monkeypatch.context() as broken:
            broken.setattr(transfer.FileTransfer, where, lambda *_: 1 // 0)
            status, answer = await curl(server, f"{IMAGE}/vmlinuz")
        assert (status, len(answer) < 3_000_000) == (0 if where == "advance" else 200, True)
        assert (await events.next(TransferFailed)).why == "internal error"
    assert [record.levelname for record in caplog.records] == ["ERROR"] * 2
    assert (await curl(server, f"{IMAGE}/vmlinuz"))[0] == 200
