"""Transfers on real connections: what counts as arrived."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.http import slow_client
from services.http.file_sender import FileSender
from services.http.tcp_info import acknowledged
from services.http.transfer import ClientStalled, FileTransfer
from services.linux.open_beneath import OpenFile, open_beneath


@contextlib.contextmanager
def connected(receive_buffer: int) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A client with a small receive buffer, and the server's side of its connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        client.connect(listener.getsockname())
        client.setblocking(False)
        accepted, _ = listener.accept()
        with accepted:
            accepted.setblocking(False)
            yield client, accepted


def opened(tmp_path: Path, content: bytes) -> OpenFile:
    (tmp_path / "file").write_bytes(content)
    file = open_beneath(tmp_path, ("file",))
    assert isinstance(file, OpenFile)
    return file


async def test_nothing_is_acknowledged_on_a_new_connection() -> None:
    with connected(16_384) as (client, accepted):
        assert acknowledged(accepted) == (0, False)
        accepted.send(b"12345")
        await asyncio.get_running_loop().sock_recv(client, 5)
        async with asyncio.timeout(60):
            while acknowledged(accepted) != (5, False):
                await asyncio.sleep(0.01)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
        assert acknowledged(accepted) == (5, True)


async def test_what_was_written_before_is_not_counted(tmp_path: Path) -> None:
    """A slow client's earlier answer is still in the kernel's buffer when the next one begins."""
    loop = asyncio.get_running_loop()
    with connected(16_384) as (client, accepted), contextlib.closing(opened(tmp_path, bytes(10))) as file:
        earlier = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                earlier += accepted.send(bytes(1 << 20))
        sender, done = FileSender(), loop.create_future()
        transfer = FileTransfer(
            accepted, b"head", file, range(10), earlier, progressed=lambda _: None, ended=done.set_result
        )
        sender.send(transfer)
        received = 0
        while received < earlier - 100_000:
            received += len(await loop.sock_recv(client, 65_536))
        assert transfer.sent == 0
        while received < earlier + 14:
            received += len(await loop.sock_recv(client, 65_536))
        assert await done is None
        assert transfer.sent == 10
        sender.close()


async def test_the_headers_are_not_counted(tmp_path: Path) -> None:
    head = b"HTTP/1.1 200 OK"
    with connected(16_384) as (client, accepted), contextlib.closing(opened(tmp_path, bytes(10))) as file:
        transfer = FileTransfer(accepted, head, file, range(10), 0, progressed=lambda _: None, ended=lambda _: None)
        accepted.send(head)
        await asyncio.get_running_loop().sock_recv(client, len(head))
        async with asyncio.timeout(60):
            while acknowledged(accepted)[0] < len(head):
                await asyncio.sleep(0.01)
        assert transfer.sent == 0


async def deliver(size: int, taken: int, tmp_path: Path) -> tuple[OSError | None, int]:
    """Send a file to a client that stops reading after `taken` bytes; return how that ended, and how many bytes had
    arrived by then."""
    loop = asyncio.get_running_loop()
    with connected(8_192) as (client, accepted), contextlib.closing(opened(tmp_path, bytes(size))) as file:
        sender, done = FileSender(), loop.create_future()
        transfer = FileTransfer(accepted, b"", file, range(size), 0, progressed=lambda _: None, ended=done.set_result)
        sender.send(transfer)
        while taken > 0:
            taken -= len(await loop.sock_recv(client, min(taken, 4_096)))
        try:
            return await done, transfer.sent
        finally:
            sender.close()


async def test_a_client_that_boots_without_acknowledging_the_tail_was_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slow_client, "TAIL_QUIET", 0.2)
    error, arrived = await deliver(200_000, 150_000, tmp_path)
    assert error is None
    assert 150_000 <= arrived < 200_000


async def test_a_client_that_stops_long_before_the_end_was_not_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slow_client, "TAIL_QUIET", 0.1)
    monkeypatch.setattr(slow_client, "STALLED_AFTER", 0.5)
    error, _ = await deliver(200_000, 50_000, tmp_path)
    assert isinstance(error, ClientStalled)


async def test_a_client_that_takes_nothing_from_the_beginning_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The socket is full of an earlier answer: it never becomes writable."""
    monkeypatch.setattr(slow_client, "STALLED_AFTER", 0.2)
    with connected(8_192) as (_, accepted), contextlib.closing(opened(tmp_path, bytes(10))) as file:
        earlier = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                earlier += accepted.send(bytes(1 << 20))
        sender, done = FileSender(), asyncio.get_running_loop().create_future()
        sender.send(
            FileTransfer(accepted, b"", file, range(10), earlier, progressed=lambda _: None, ended=done.set_result)
        )
        assert isinstance(await asyncio.wait_for(done, 30), ClientStalled)
        sender.close()


async def test_two_senders_at_once_do_not_mix_up_their_files(tmp_path: Path) -> None:
    """A box that serves two interfaces has two sending threads."""
    loop = asyncio.get_running_loop()
    size = 1_000_000
    senders = FileSender(), FileSender()

    async def one(number: int, stack: contextlib.ExitStack) -> None:
        content = bytes([number]) * size
        (tmp_path / str(number)).mkdir()
        for _ in range(150):
            with connected(1 << 20) as (client, accepted):
                file = stack.enter_context(contextlib.closing(opened(tmp_path / str(number), content)))
                done = loop.create_future()
                transfer = FileTransfer(
                    accepted, b"", file, range(size), 0, progressed=lambda _: None, ended=done.set_result
                )
                senders[number].send(transfer)
                received = bytearray()
                while len(received) < size:
                    received += await loop.sock_recv(client, 1 << 20)
                assert received == content
                assert await done is None

    with contextlib.ExitStack() as stack:
        await asyncio.gather(one(0, stack), one(1, stack))
    for sender in senders:
        sender.close()
