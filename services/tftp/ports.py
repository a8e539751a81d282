"""The sockets of TFTP: the port that all transfers share, the port of a single transfer, and the MTU of a path."""

import contextlib
import logging
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address

from services.linux import socket_filter
from services.linux.sockets import bind_udp
from services.linux.udp_batches import Batches, Unavailable, WindowSender, address_of, path_mtu, sender_beside
from services.tftp.transfer import HEADERS, LARGEST_BLOCK

LONGEST_DATAGRAM = 1024  # bytes; longer ones are cut off there, and are then still too long for a request
_BATCH = 64  # datagrams per system call
_BUFFER = 4 << 20  # bytes; a room of 500 PCs switched on together sends its requests within a few milliseconds
# Read and write requests, ACK and ERROR. A reader sends nothing else.
ACCEPTED = socket_filter.datagrams([socket_filter.Field(0, 2, (1, 2, 4, 5))])

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SharedPort:
    """The server's own port. Datagrams arrive at `receiver`; `socket_to_send` has the same address and may be the same
    socket. `batches` is None where this machine has no batches and datagrams come one by one."""

    number: int
    receiver: socket.socket
    socket_to_send: socket.socket
    sender: WindowSender
    batches: Batches | None

    @classmethod
    def open(cls, address: IPv4Address, number: int) -> "SharedPort":
        """Bind it; `number` 0 takes a free port. Raises BindError."""
        receiver = bind_udp(address, number)
        socket_filter.attach(receiver, ACCEPTED)
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        try:
            socket_to_send = sender_beside(receiver)
        except OSError as error:
            log.info("tftp: sending from the receiving socket: %s", error)
            socket_to_send = receiver
        socket_to_send.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        sender = WindowSender(socket_to_send)
        batches = None
        try:
            batches = Batches(receiver, socket_to_send, LONGEST_DATAGRAM, _BATCH)
            how = "in batches"
        except Unavailable as why:
            how = f"one by one ({why})"
        windows = "in one call (GSO)" if sender.takes_windows else "packet by packet (no UDP_SEGMENT in this kernel)"
        log.info("tftp: datagrams %s, windows %s", how, windows)
        return cls(receiver.getsockname()[1], receiver, socket_to_send, sender, batches)

    def close(self) -> None:
        """Close both sockets."""
        self.receiver.close()
        self.socket_to_send.close()


def open_own_port(address: IPv4Address, peer: bytes) -> socket.socket:
    """A socket on a free port of `address` that only `peer` can reach. Raises BindError and OSError."""
    own = bind_udp(address, 0)
    try:
        socket_filter.attach(own, ACCEPTED)
        own.connect(address_of(peer))
    except OSError:
        own.close()
        raise
    return own


def largest_block(peer: bytes) -> int:
    """The largest block that reaches `peer` unfragmented, in bytes; Ethernet's where the path is unknown."""
    with contextlib.suppress(OSError):
        return path_mtu(peer) - HEADERS
    return LARGEST_BLOCK
