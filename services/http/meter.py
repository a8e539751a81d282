"""How much of an answer's body really arrived: the kernel's TCP_INFO counts the acknowledged bytes."""

import asyncio
import fcntl
import os
import socket
import struct
import termios
from dataclasses import dataclass

_TCP_INFO_SIZE = 136
_TCP_STATE = struct.Struct("B")  # struct tcp_info: tcpi_state is its first octet,
_TCP_ACKED = struct.Struct("Q")  # and tcpi_bytes_acked stands at 120, since Linux 4.1
_ACKED_AT = 120
_TCP_CLOSE = 7


@dataclass(slots=True, eq=False)
class Meter:
    """Bytes of one response's body that the client's kernel has acknowledged, of `size`."""

    connection: socket.socket
    size: int
    start: int

    @classmethod
    def begin(cls, transport: asyncio.Transport, size: int) -> "Meter":
        """Count from here: all that was written to `transport` before is not the body."""
        # The duplicate keeps the counter readable after aiohttp closed its end.
        number = os.dup(transport.get_extra_info("socket").fileno())
        connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, number)
        connection.setblocking(False)
        _, acked = _tcp_state(connection)
        while True:
            queued = struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4)))[0]
            before, (_, acked) = acked, _tcp_state(connection)
            if before == acked:  # else an ACK came between the two readings, which then do not add up
                return cls(connection, size, acked + queued + transport.get_write_buffer_size())

    @property
    def sent(self) -> int:
        """Bytes of the body that arrived."""
        return min(max(_tcp_state(self.connection)[1] - self.start, 0), self.size)

    @property
    def closed(self) -> bool:
        """Whether the connection is gone, so that nothing more can arrive."""
        return _tcp_state(self.connection)[0] == _TCP_CLOSE


def _tcp_state(connection: socket.socket) -> tuple[int, int]:
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_SIZE)
    return _TCP_STATE.unpack_from(info)[0], _TCP_ACKED.unpack_from(info, _ACKED_AT)[0]
