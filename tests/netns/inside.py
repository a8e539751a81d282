"""Sockets in a network namespace, opened by the test's own process, and a scripted DHCP client on top of them."""

import asyncio
import ctypes
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from tests.fakes.dhcp_client import Answer
from tests.room.namespaces import NETNS, Namespace

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)

TIMEOUT = 30.0
"""Seconds to wait for an answer that must come."""


@contextmanager
def inside(namespace: Namespace) -> Iterator[None]:
    """Move this thread into the namespace: sockets it opens in the block stay there for good."""
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        _enter(NETNS / namespace.name)
        yield
    finally:
        _enter(Path(f"/proc/self/fd/{own}"))
        os.close(own)


def _enter(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        if _libc.setns(descriptor, _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"setns {path}")
    finally:
        os.close(descriptor)


def counters(host: Namespace, protocol: str = "Udp") -> dict[str, int]:
    """A host kernel's counters of a protocol: proc(5), net/snmp."""
    with inside(host):
        lines = Path("/proc/thread-self/net/snmp").read_text().splitlines()
    names, values = (line.split()[1:] for line in lines if line.startswith(f"{protocol}: "))
    return dict(zip(names, map(int, values), strict=True))


class Client:
    """A UDP socket on a client's host. Use as a context manager."""

    def __init__(self, namespace: Namespace, mac: bytes, port: int = 68, interface: str = "lan0") -> None:
        self.mac = mac
        with inside(namespace):
            self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            self._udp.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
            self._udp.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            self._udp.bind(("", port))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._udp.close()

    def say(self, datagram: bytes, host: str = "255.255.255.255", port: int = 67) -> None:
        """Send one datagram, by default as a DHCP client's broadcast."""
        self._udp.sendto(datagram, (host, port))

    async def hear(self, server: str = "") -> tuple[Answer, str, int]:
        """The next answer to our MAC address (from `server`, if given), and the address and port it came from."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(TIMEOUT):
            while True:
                datagram, (host, port) = await loop.sock_recvfrom(self._udp, 4096)
                if datagram[28:34] == self.mac and server in ("", host):
                    return Answer.parse(datagram), host, port

    def heard(self) -> list[str]:
        """The senders of all unread answers to our MAC address."""
        senders: list[str] = []
        while True:
            try:
                datagram, (host, _) = self._udp.recvfrom(4096)
            except BlockingIOError:
                return senders
            if datagram[28:34] == self.mac:
                senders.append(host)
