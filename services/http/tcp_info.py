"""How much of what was written to a connection has arrived: the kernel counts acknowledged bytes (TCP_INFO)."""

import socket
import struct

_SIZE = 128
# struct tcp_info: tcpi_state is the first byte, tcpi_bytes_acked (since Linux 4.1) is at offset 120.
_STATE_AND_ACKED = struct.Struct("=B119xQ")
_TCP_CLOSE = 7


def acknowledged(connection: socket.socket) -> tuple[int, bool]:
    """How many bytes the peer has acknowledged since the connection was accepted, and whether it is closed, so that no
    more can be."""
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _SIZE)
    state, acked = _STATE_AND_ACKED.unpack(info)
    return acked, state == _TCP_CLOSE
