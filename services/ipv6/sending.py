"""Sends no_router.py's packet: by this process where it may open packet sockets, else through a program that may.

The server under systemd may not. It asks `python -m services.ipv6.sending`, which systemd starts by the socket of
netboot-appliance-no-router.socket, and which can do nothing else. It ends when nobody has asked for a while.
"""

import contextlib
import logging
import socket
from pathlib import Path

from services.decision import Ignore
from services.ethernet import MacAddress
from services.ipv6 import no_router

_ETH_P_IPV6 = 0x86DD  # linux/if_ether.h
_FIRST_PASSED_SOCKET = 3  # sd_listen_fds(3)
_LONGEST = 64
_IDLE_SECONDS = 60.0

log = logging.getLogger(__name__)


class NoRouterSender:
    """Tells PCs that there is no IPv6 router. What cannot be sent is not: the PC waits, as it would have."""

    def __init__(self, program: Path) -> None:
        """`program` is the socket of the program that may."""
        self._program = str(program)
        self._failing = False
        self._packets = _open_packets()
        self._asking = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)

    def tell(self, interface: str, client: MacAddress) -> None:
        """Send it to one PC. Never blocks, never raises."""
        try:
            if self._packets is not None:
                _send(self._packets, interface, client)
            else:
                self._asking.sendto(no_router.request(interface, client), self._program)
            self._failing = False
        except OSError as error:
            if not self._failing:
                log.info("cannot tell iPXE that there is no ipv6 router: it waits", extra={"error": str(error)})
            self._failing = True

    def close(self) -> None:
        """Close the sockets."""
        self._asking.close()
        if self._packets is not None:
            self._packets.close()


def answer_requests(asked: socket.socket, packets: socket.socket) -> None:
    """Send what `asked` gets requests for, until none has come for the time that it waits."""
    while True:
        try:
            wanted = no_router.read_request(asked.recv(_LONGEST))
        except TimeoutError:
            return
        if not isinstance(wanted, Ignore):
            # The interface has gone, or is down, or the kernel's queue is full.
            with contextlib.suppress(OSError):
                _send(packets, *wanted)


def _open_packets() -> socket.socket | None:
    """A socket that only sends packets, or None where this process may not."""
    try:
        return socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, 0)
    except OSError:
        return None


def _send(packets: socket.socket, interface: str, client: MacAddress) -> None:
    packets.sendto(no_router.advertisement(client), (interface, _ETH_P_IPV6, 0, 0, bytes(client)))


def _main() -> None:
    asked = socket.socket(fileno=_FIRST_PASSED_SOCKET)
    asked.settimeout(_IDLE_SECONDS)
    packets = _open_packets()
    if packets is None:
        raise SystemExit("needs CAP_NET_RAW")
    answer_requests(asked, packets)


if __name__ == "__main__":
    _main()
