"""The socket that all transfers share, with what sends from its port; and what the path to a client takes."""

import contextlib
import logging
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address

from services.linux import socket_filter
from services.linux.sockets import bind_udp
from services.linux.udp_batches import Batches, Unavailable, WindowSender, path_mtu, sender_beside
from services.tftp.transfer import HEADERS, LARGEST_BLOCK

_BATCH = 64  # datagrams a call
LONGEST_DATAGRAM = 1024  # longer ones are cut, and then too long for a request
_BUFFER = 4 << 20  # a room of 500 PCs switched on together sends its requests within a few milliseconds
# Read and write requests, ACK and ERROR: what else there is, no reader sends.
HEARD = socket_filter.datagrams([socket_filter.Field(0, 2, (1, 2, 4, 5))])

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SharedPort:
    """`batches` None: this machine has none, and datagrams come one by one. `sender` may be `heard` again."""

    number: int
    heard: socket.socket
    sender: socket.socket
    outlet: WindowSender
    batches: Batches | None

    @classmethod
    def open(cls, address: IPv4Address, number: int) -> "SharedPort":
        """Bind it; `number` 0 takes a free one. Raises BindError."""
        heard = bind_udp(address, number)
        socket_filter.attach(heard, HEARD)
        heard.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        try:
            sender = sender_beside(heard)
        except OSError as error:
            log.info("tftp: sends from the socket that hears: %s", error)
            sender = heard
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        outlet = WindowSender(sender)
        batches = None
        try:
            batches = Batches(heard, sender, LONGEST_DATAGRAM, _BATCH)
            how = "in batches"
        except Unavailable as why:
            how = f"one by one ({why})"
        windows = "in one call (GSO)" if outlet.cuts else "packet by packet (no UDP_SEGMENT in this kernel)"
        log.info("tftp: datagrams %s, windows %s", how, windows)
        return cls(heard.getsockname()[1], heard, sender, outlet, batches)

    def close(self) -> None:
        """Close both sockets."""
        self.heard.close()
        self.sender.close()


def largest_block(peer: bytes) -> int:
    """The largest block that reaches `peer` in one piece, in bytes; Ethernet's where nothing is known of the path."""
    with contextlib.suppress(OSError):
        return path_mtu(peer) - HEADERS
    return LARGEST_BLOCK
