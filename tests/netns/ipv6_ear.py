"""Hears the router advertisements that reach a PC, and what its kernel makes of them."""

import re
import socket
from pathlib import Path
from typing import Self

from tests.netns.inside import TIMEOUT, inside
from tests.room.namespaces import Namespace
from tests.room.processes import wait_until

_ETH_P_IPV6 = 0x86DD  # linux/if_ether.h
_ICMP, _ADVERTISEMENT = 58, 134


class Ipv6Ear:
    """Use as a context manager."""

    def __init__(self, host: Namespace) -> None:
        self._host = host
        with inside(host):
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK)
            self._socket.bind(("lan0", _ETH_P_IPV6))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._socket.close()

    def heard(self) -> list[bytes]:
        """The frames with advertisements that have come since the last call."""
        frames: list[bytes] = []
        while True:
            try:
                frame = self._socket.recv(2048)
            except BlockingIOError:
                return frames
            if (frame[20], frame[54]) == (_ICMP, _ADVERTISEMENT):
                frames.append(frame)

    def await_frame(self) -> bytes:
        """The next frame with an advertisement."""
        found: list[bytes] = []

        def came() -> bool:
            found.extend(self.heard())
            return bool(found)

        wait_until(came, TIMEOUT, "a router advertisement", 0.02)
        (frame,) = found
        return frame

    def enable(self) -> None:
        """Have the host's kernel use IPv6 by what routers say, as a running system does."""
        with inside(self._host):
            for name, value in (("accept_ra", 1), ("disable_ipv6", 0)):
                Path(f"/proc/sys/net/ipv6/conf/lan0/{name}").write_text(str(value))
        self.await_address("fe80::")

    def await_address(self, prefix: str) -> None:
        """Wait until the host has an address that begins like this, and knows that nobody else has it."""

        def has() -> bool:
            text = self.configuration()
            return f"inet6 {prefix}" in text and "tentative" not in text

        wait_until(has, TIMEOUT, f"an address in {prefix}", 0.05)

    def configuration(self) -> str:
        """The kernel's addresses, routes and routers, without the time that they have left."""
        shown = [self._host.ip("-6", kind, "show", "dev", "lan0") for kind in ("address", "route")]
        return re.sub(r"(expires|valid_lft|preferred_lft) \w+", "", "".join(shown))

    def taken(self) -> int:
        """How many advertisements the kernel has taken."""
        with inside(self._host):
            text = Path("/proc/thread-self/net/snmp6").read_text()
        return int(dict(line.split() for line in text.splitlines())["Icmp6InRouterAdvertisements"])
