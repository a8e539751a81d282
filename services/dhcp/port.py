"""A port on which the box hears DHCP, opened on one interface."""

import socket
from ipaddress import IPv4Address

import structlog

from services import sieve
from services.datagrams import Unavailable
from services.dhcp import packet
from services.dhcp.message import SERVER_PORT
from services.dhcp.wire import Batched, Wire
from services.sockets import bind_udp

RECEIVE_BUFFER = 4 << 20
"""Bytes of the kernel's queue, as far as it allows: some 3,000 DISCOVERs, a campus that is switched on together."""

# BOOTREQUEST and the magic cookie; what else is wrong with a request is worth a word.
HEARD = sieve.datagrams([sieve.Field(0, 1, (1,)), sieve.Field(236, 4, (0x63825363,))])

_LONGEST = packet.MAX_DATAGRAM + 1  # what is longer than the first is told by that

_log = structlog.get_logger()


def open_port(interface: str, at: IPv4Address, port: int, source: IPv4Address) -> Wire:
    """Bind `port` at the address `at`, 0.0.0.0 for broadcasts; answers leave by `source`. Raises BindError."""
    udp = bind_udp(at, port, interface)
    sieve.attach(udp, HEARD)
    if port == SERVER_PORT:
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    try:
        return Batched(udp, source, _LONGEST)
    except (Unavailable, OSError) as why:
        _log.info("dhcp datagram by datagram", interface=interface, why=str(why))
        return Wire(udp, source, _LONGEST)
