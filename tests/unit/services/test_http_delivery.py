"""Counting the bytes that arrived, on real connections."""

import asyncio
import socket

from services.http.delivery import Meter


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
