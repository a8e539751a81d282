"""A port on which the box hears DHCP, opened on one interface."""

import logging
import socket
from ipaddress import IPv4Address

from services.dhcp import packet
from services.dhcp.message import SERVER_PORT
from services.dhcp.udp_port import BatchedUdpPort, UdpPort
from services.linux import socket_filter
from services.linux.sockets import bind_udp
from services.linux.udp_batches import Unavailable

RECEIVE_BUFFER = 4 << 20
"""Bytes of the kernel's queue, as far as it allows: some 3,000 DISCOVERs, a campus that is switched on together."""

# BOOTREQUEST and the magic cookie; what else is wrong with a request is worth a word.
HEARD = socket_filter.datagrams([socket_filter.Field(0, 1, (1,)), socket_filter.Field(236, 4, (0x63825363,))])

_LONGEST = packet.MAX_DATAGRAM + 1  # what is longer than the first is told by that

log = logging.getLogger(__name__)


def open_port(interface: str, at: IPv4Address, port: int, source: IPv4Address) -> UdpPort:
    """Bind `port` at the address `at`, 0.0.0.0 for broadcasts; answers leave by `source`. Raises BindError."""
    udp = bind_udp(at, port, interface)
    socket_filter.attach(udp, HEARD)
    if port == SERVER_PORT:
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    try:
        return BatchedUdpPort(udp, source, _LONGEST)
    except (Unavailable, OSError) as why:
        log.info("dhcp datagram by datagram", extra={"interface": interface, "why": str(why)})
        return UdpPort(udp, source, _LONGEST)
