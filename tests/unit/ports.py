"""Ports for servers that a test starts later, or whose port it uses with a second address."""

import random
import socket


def free_port() -> int:
    """A TCP port that nobody uses on any address. The kernel gives it to nobody who asks for any port: those are from
    32768 on."""
    for port in random.sample(range(20_000, 30_000), 100):
        with socket.socket() as tcp:
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, True)
            try:
                tcp.bind(("0.0.0.0", port))
            except OSError:
                continue
            return port
    raise OSError("of a hundred ports none is free")
