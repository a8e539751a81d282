"""Counting the bytes that arrived, on real connections."""

import asyncio
import contextlib
import socket
from pathlib import Path

import pytest

from services.files import OpenFile, open_beneath
from services.http import delivery, patience
from services.http.meter import Meter
from services.http.outlet import Outlet


async def test_what_was_written_before_is_not_counted() -> None:
    """A slow client's earlier answer still waits in the kernel and in asyncio when the next one begins."""
    earlier = 20_000_000
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
        client.connect(listener.getsockname())
        client.setblocking(False)
        accepted, _ = listener.accept()
        accepted.setblocking(False)
        _, writer = await asyncio.open_connection(sock=accepted)
        transport = writer.transport
        assert isinstance(transport, asyncio.Transport)
        transport.write(bytes(earlier))
        assert transport.get_write_buffer_size() > 0
        meter = Meter.begin(transport, 10)
        transport.write(b"0123456789")
        assert (meter.sent, meter.closed) == (0, False)
        received = 0
        while received < earlier - 100_000:
            received += len(await asyncio.get_running_loop().sock_recv(client, 65_536))
        assert meter.sent == 0
        while received < earlier + 10:
            received += len(await asyncio.get_running_loop().sock_recv(client, 65_536))
        assert meter.sent == 10
        transport.abort()
        client.close()
        await asyncio.sleep(0)
        meter.connection.close()


class Client:
    """One that is not heard of."""

    heard = staticmethod(delivery.nobody_listens)


async def deliver(size: int, taken: int, tmp_path: Path) -> int:
    """Send a file to a client that stops reading after `taken` bytes; return what had arrived when `send` returned."""
    (tmp_path / "file").write_bytes(bytes(size))
    file = open_beneath(tmp_path, ("file",))
    assert isinstance(file, OpenFile)
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as client, contextlib.closing(file):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8_192)
        client.connect(listener.getsockname())
        client.setblocking(False)
        accepted, _ = listener.accept()
        accepted.setblocking(False)
        _, writer = await asyncio.open_connection(sock=accepted)
        transport = writer.transport
        assert isinstance(transport, asyncio.Transport)
        meter, outlet = Meter.begin(transport, size), Outlet()
        sending = asyncio.create_task(delivery.send(outlet, file, range(size), meter, Client(), lambda _: None))
        while taken > 0:
            taken -= len(await asyncio.get_running_loop().sock_recv(client, min(taken, 4_096)))
        try:
            await sending
            return meter.sent
        finally:
            transport.abort()
            await asyncio.sleep(0)
            meter.connection.close()
            outlet.close()


async def test_a_client_that_boots_without_acknowledging_the_tail_was_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "TAIL_QUIET", 0.2)
    assert 150_000 <= await deliver(200_000, 150_000, tmp_path) < 200_000


async def test_a_client_that_stops_long_before_the_end_was_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "TAIL_QUIET", 0.1)
    monkeypatch.setattr(patience, "STALLED_AFTER", 0.5)
    with pytest.raises(delivery.Stalled):
        await deliver(200_000, 50_000, tmp_path)
