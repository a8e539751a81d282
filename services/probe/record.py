"""What a probe and its servers say to each other, recorded as it happens."""

import time
from ipaddress import IPv4Address

from services.probe.message import Content, Packet


class ProbeRecord:
    """`packets` in their order, each with the seconds since this object was made."""

    def __init__(self) -> None:
        self.packets: list[Packet] = []
        self._began = time.monotonic()

    def said(self, content: Content, server: IPv4Address, port: int, client_port: int = 0) -> None:
        """Record what the probe says to a server, or notes."""
        self._add(content, True, server, port, client_port)

    def heard(self, content: Content, server: IPv4Address, port: int, client_port: int = 0) -> None:
        """Record what comes back from a server, or that nothing does."""
        self._add(content, False, server, port, client_port)

    def _add(self, content: Content, outgoing: bool, server: IPv4Address, port: int, client_port: int) -> None:
        at = time.monotonic() - self._began
        self.packets.append(Packet(at, outgoing, server, port, client_port, content))
