"""Sends the same bytes over HTTP connections as fast as it can, until SIGTERM:
`python -m tests.netns.http_flood SOURCE ADDRESS COUNT BEGUN MORE`, the last two in hexadecimal.

Each of COUNT connections sends BEGUN, then MORE again and again; one that the server closes is opened again. Prints how
many bytes were sent.
"""

import contextlib
import selectors
import signal
import socket
import sys

_PIECE = 64 << 10


class _Stopped(BaseException):
    pass


def _stop(*_: object) -> None:
    raise _Stopped


def flood(source: str, address: str, connections: int, begun: bytes, more: bytes) -> int:
    """Flood until SIGTERM; returns the number of bytes sent."""
    piece = more * (_PIECE // len(more))
    sent = 0
    with contextlib.suppress(_Stopped), selectors.DefaultSelector() as selector:
        signal.signal(signal.SIGTERM, _stop)

        def connect() -> None:
            tcp = socket.create_connection((address, 80), timeout=60, source_address=(source, 0))
            tcp.sendall(begun)
            tcp.setblocking(False)
            selector.register(tcp, selectors.EVENT_WRITE)

        for _ in range(connections):
            connect()
        while True:
            for key, _ in selector.select():
                tcp = key.fileobj
                assert isinstance(tcp, socket.socket)
                try:
                    sent += tcp.send(piece)
                except BlockingIOError:
                    pass
                except OSError:
                    selector.unregister(tcp)
                    tcp.close()
                    with contextlib.suppress(OSError):
                        connect()
    return sent


if __name__ == "__main__":
    _, origin, where, count, first, then = sys.argv
    print(flood(origin, where, int(count), bytes.fromhex(first), bytes.fromhex(then)))
