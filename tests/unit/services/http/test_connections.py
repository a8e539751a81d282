"""Connections: requests one after another, clients that do not read, descriptors that run out."""

import asyncio
import errno
import os
import socket
import time
from contextlib import suppress

import pytest

from services.decision import Reason
from services.http import acceptor, connections, conversation
from services.http.server import HttpServer
from tests.unit.services.http.conftest import BOOT, IMAGE, KERNEL, LARGE, SCRIPT, SQUASHFS, Box, Connect, curl, get

THE_SCRIPT = get(f"{BOOT}/boot.ipxe")
NO_FILE = f"{Reason.NO_FILE}\n".encode()
REPORT = f"{BOOT}/T0ken/report"


async def test_requests_sent_at_once_are_answered_one_after_another(server: HttpServer, connect: Connect) -> None:
    part = get(f"{IMAGE}/vmlinuz", "Range: bytes=7-1000006")
    squashfs = get(f"{IMAGE}/live/filesystem.squashfs", "Connection: close")
    answers = await (await connect()).ask(THE_SCRIPT * 200 + part + get("/") + THE_SCRIPT + squashfs)
    bodies = [SCRIPT.encode()] * 200 + [KERNEL[7:1_000_007], NO_FILE, SCRIPT.encode(), SQUASHFS]
    for body in bodies:
        head, _, answers = answers.partition(b"\r\n\r\n")
        assert f"\r\nContent-Length: {len(body)}".encode() in head
        assert answers.startswith(body)
        answers = answers[len(body) :]
    assert answers == b""


async def test_no_more_is_read_from_a_client_that_does_not_take_its_answers(
    server: HttpServer, box: Box, monkeypatch: pytest.MonkeyPatch, connect: Connect
) -> None:
    """Otherwise its answers would pile up in memory. After REQUEST_WITHIN the connection is closed."""
    monkeypatch.setattr(connections, "REQUEST_WITHIN", 0.3)
    box.script_ = SCRIPT * 2000
    connection = await connect(4_096)
    asking = asyncio.create_task(connection.send(THE_SCRIPT * 10_000))
    async with asyncio.timeout(30):
        while server._connections is None or not any(each.unsent for each in server._connections.all):
            await asyncio.sleep(0.01)
        asked = len(box.admit_calls)
        while server._connections.all:
            assert len(box.admit_calls) == asked
            assert sum(len(each.unsent) for each in server._connections.all) <= 2100 * len(SCRIPT)
            await asyncio.sleep(0.01)
    assert asked < 10_000
    with suppress(ConnectionError):
        await asking


async def test_a_slow_reader_of_short_answers_gets_them_all(server: HttpServer, box: Box, connect: Connect) -> None:
    box.script_ = SCRIPT * 2000
    connection = await connect(4_096)
    await connection.send(THE_SCRIPT * 100 + get("/", "Connection: close"))
    await asyncio.sleep(0.1)
    answers = await connection.rest()
    assert answers.count(b"HTTP/1.1 200 OK") == 100
    assert answers.endswith(NO_FILE)


async def test_a_client_waits_for_100_continue_before_it_sends_its_body(
    server: HttpServer, box: Box, connect: Connect
) -> None:
    """RFC 9110, 10.1.1. A client that sends it at once gets no 100."""
    expecting = get(REPORT, "Content-Length: 14", "Expect: 100-continue", method="POST")
    connection = await connect()
    assert await connection.begin(expecting) == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert (await connection.begin("stage=attached")).startswith(b"HTTP/1.1 204 ")
    assert (await connection.begin(expecting + "stage=attached")).startswith(b"HTTP/1.1 204 ")
    assert [report.stage for report in box.reports] == ["attached"] * 2


async def test_a_stranger_is_not_asked_for_a_body(server: HttpServer, box: Box, connect: Connect) -> None:
    box.admission = RuntimeError("nobody is admitted")
    request = get(REPORT, "Content-Length: 14", "Expect: 100-continue", method="POST")
    assert await (await connect()).ask(request) == b""


async def test_http_1_0_clients(server: HttpServer, connect: Connect) -> None:
    """The connection is closed, unless the client asks to keep it."""
    old = THE_SCRIPT.replace("HTTP/1.1", "HTTP/1.0")
    answer = await (await connect()).ask(old)
    assert b"\r\nConnection: close\r\n" in answer
    keeping = old.replace("Host:", "Connection: keep-alive\r\nHost:")
    answers = await (await connect()).ask(keeping + old)
    assert answers.count(SCRIPT.encode()) == 2
    assert answers.count(b"\r\nConnection: keep-alive\r\n") == 1


async def test_a_client_that_closes_its_half_gets_its_file(server: HttpServer, connect: Connect) -> None:
    """Some downloaders do so right after the request."""
    connection = await connect()
    await connection.send(get(f"{IMAGE}/initrd.img"))
    connection.tcp.shutdown(socket.SHUT_WR)
    assert await connection.count() > LARGE


async def test_accepting_pauses_while_the_system_has_no_descriptors(
    server: HttpServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, connect: Connect
) -> None:
    monkeypatch.setattr(acceptor, "_PAUSE", 0.5)
    tries = list[float]()

    class WithoutDescriptors:
        """The listening socket on a system that has no descriptors left at the first try."""

        def __init__(self, tcp: socket.socket) -> None:
            self.tcp = tcp

        def close(self) -> None:
            self.tcp.close()

        def accept(self) -> tuple[socket.socket, tuple[str, int]]:
            tries.append(time.monotonic())
            if len(tries) == 1:
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            return self.tcp.accept()

    assert server._connections is not None
    listening = server._connections._acceptor
    monkeypatch.setattr(listening, "_tcp", WithoutDescriptors(listening._tcp))
    assert await curl(server, f"{BOOT}/boot.ipxe") == (200, SCRIPT.encode())
    assert tries[1] - tries[0] > 0.4, "it does not try all the time"
    assert [record.getMessage() for record in caplog.records] == [
        "http: no connection can be accepted: Too many open files"
    ]


async def test_a_fault_ends_only_its_connection(
    server: HttpServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(conversation.Conversation, "encoded", lambda *_: 1 // 0)
        assert (await curl(server, f"{BOOT}/boot.ipxe"))[0] == 0
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert (await curl(server, f"{BOOT}/boot.ipxe"))[0] == 200
