"""Opening the sockets of the services, with an error that names the port."""

import socket
from ipaddress import IPv4Address


class BindError(Exception):
    """A port could not be bound. `protocol` is "udp" or "tcp"; the cause is the OSError."""

    def __init__(self, protocol: str, address: IPv4Address, port: int, cause: OSError) -> None:
        super().__init__(f"cannot listen on {protocol} {address}:{port}: {cause.strerror or cause}")
        self.protocol = protocol
        self.address = address
        self.port = port
        self.cause = cause


def bind_udp(address: IPv4Address, port: int, interface: str | None = None) -> socket.socket:
    """Return a bound, non-blocking UDP socket, tied to `interface` when given; raises BindError.

    No SO_REUSEADDR: with it, two servers would silently share the port, and each would get half of the requests.
    """
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        if interface is not None:
            udp.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
        udp.bind((str(address), port))
    except OSError as error:
        udp.close()
        raise BindError("udp", address, port, error) from error
    return udp


def listen_tcp(address: IPv4Address, port: int, backlog: int) -> socket.socket:
    """Return a listening, non-blocking TCP socket; raises BindError.

    Unlike for UDP, SO_REUSEADDR is safe here: it only lets a restarted server take its port back from connections that
    are still closing.
    """
    tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        tcp.bind((str(address), port))
        tcp.listen(backlog)
    except OSError as error:
        tcp.close()
        raise BindError("tcp", address, port, error) from error
    return tcp
