"""A raw socket for a DHCP client's broadcasts by an interface.

It holds no port, so it works beside this host's own DHCP client; and this host's own servers hear what it says, as they
would not from a packet socket. Needs CAP_NET_RAW.
"""

import socket


def open_mouth(interface: str) -> socket.socket:
    """Open it; what it sends begins with the IP header. Raises OSError."""
    mouth = socket.socket(socket.AF_INET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.IPPROTO_RAW)
    try:
        mouth.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
        mouth.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    except OSError:
        mouth.close()
        raise
    return mouth
