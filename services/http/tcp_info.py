"""How much of what was written to a connection really arrived: the kernel's TCP_INFO counts the acknowledged bytes."""

import socket
import struct

_SIZE = 128
# struct tcp_info: tcpi_state is its first byte, and tcpi_bytes_acked stands at 120, since Linux 4.1.
_STATE_AND_ACKED = struct.Struct("=B119xQ")
_TCP_CLOSE = 7


def acknowledged(connection: socket.socket) -> tuple[int, bool]:
    """Bytes that the peer's kernel has acknowledged since the connection was accepted, and whether no more can come."""
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _SIZE)
    state, acked = _STATE_AND_ACKED.unpack(info)
    return acked, state == _TCP_CLOSE
