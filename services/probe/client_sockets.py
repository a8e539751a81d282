"""The sockets of a program that plays a DHCP client, beside whatever client and server this host has.

The packet socket and the raw socket hold no port, and need CAP_NET_RAW.
"""

import socket
from ipaddress import IPv4Address

from services.dhcp.message import CLIENT_PORT
from services.linux import socket_filter

_EVERY_PROTOCOL = 3  # ETH_P_ALL, linux/if_ether.h: only sockets of this kind hear packets on their way out
# Classic BPF on the IP header: UDP to port 68. What else an NFS server sends and hears must not pass through here.
_TO_CLIENTS = (
    (0x30, 0, 0, 9),  # load the protocol
    (0x15, 0, 4, socket.IPPROTO_UDP),
    (0xB1, 0, 0, 0),  # X = length of the IP header
    (0x48, 0, 0, 2),  # load the destination port
    (0x15, 0, 1, CLIENT_PORT),
    (0x06, 0, 0, 0xFFFF),
    (0x06, 0, 0, 0),
)


def open_packet_socket(interface: str) -> socket.socket:
    """Open a socket that receives what is sent to DHCP clients on an interface, beginning with the IP header.

    It also hears this host's own broadcasts on their way out, so a probe on the box hears the box. What it sends, this
    host's own servers do not hear. Raises OSError.
    """
    heard = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, 0)
    try:
        socket_filter.attach(heard, _TO_CLIENTS)
        heard.bind((interface, _EVERY_PROTOCOL))
    except OSError:
        heard.close()
        raise
    return heard


def open_raw_socket(interface: str) -> socket.socket:
    """Open a socket that sends broadcasts by an interface, beginning with the IP header. This host's own servers hear
    them too. Raises OSError."""
    sender = socket.socket(socket.AF_INET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.IPPROTO_RAW)
    try:
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    except OSError:
        sender.close()
        raise
    return sender


def open_udp_socket(address: IPv4Address, port: int, seconds: float) -> socket.socket:
    """Open a socket on this host's own address that waits for `seconds`; on another port where `port` is taken."""
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    udp.settimeout(seconds)
    try:
        udp.bind((str(address), port))
    except OSError:
        udp.bind((str(address), 0))
    return udp
