"""A port on this machine's loopback that leads to a server inside the virtual room.

`python -m tests.room.loopback_port PORT NAMESPACE ADDRESS PORT` listens on 127.0.0.1 (port 0: any free one), prints the
port, then enters the namespace: the listening socket stays in the network that it was made in.
"""

import asyncio
import socket
import sys
from contextlib import suppress

from pyroute2 import netns

_CHUNK = 1 << 16


async def forward(listening: socket.socket, address: str, port: int) -> None:
    """Join each connection to one to `address`, both ways, for ever."""

    async def join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            there, back = await asyncio.open_connection(address, port)
            await asyncio.gather(_pour(reader, back), _pour(there, writer))
        writer.close()

    async with await asyncio.start_server(join, sock=listening) as server:
        await server.serve_forever()


async def _pour(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await source.read(_CHUNK):
            target.write(chunk)
            await target.drain()
    target.close()


def main() -> None:
    """Forward until killed."""
    wanted, namespace, address, port = sys.argv[1:]
    listening = socket.create_server(("127.0.0.1", int(wanted)))
    print(f"listening on {listening.getsockname()[1]}", flush=True)
    netns.setns(namespace)
    asyncio.run(forward(listening, address, int(port)))


if __name__ == "__main__":
    main()
