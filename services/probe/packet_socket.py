"""A packet socket that hears what is sent to DHCP clients on an interface, and nothing else.

It holds no port, so it works beside this host's own DHCP client; and it hears this host's own broadcasts on their way
out, so a probe on the box hears the box. Needs CAP_NET_RAW.
"""

import socket

from services.dhcp.message import CLIENT_PORT
from services.linux import socket_filter

_EVERY_PROTOCOL = 3  # ETH_P_ALL, linux/if_ether.h: packets on their way out pass sockets of this kind only
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


def listen(interface: str) -> socket.socket:
    """Open it; what it receives begins with the IP header. Raises OSError."""
    ear = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, 0)
    try:
        socket_filter.attach(ear, _TO_CLIENTS)
        ear.bind((interface, _EVERY_PROTOCOL))
    except OSError:
        ear.close()
        raise
    return ear
