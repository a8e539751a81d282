"""A machine that uses an address the DHCP server believes to be free, and that only the next holder can detect.

The server's own probe does not find it, as if it slept: it answers only ARP probes, which have no sender address, as
clients send them before they use an address (RFC 5227 section 2.1.1).
"""

import socket
import threading
from ipaddress import IPv4Address

from services.ethernet import MacAddress
from tests.netns.inside import inside
from tests.room.namespaces import Namespace

_ARP = 0x0806  # ETH_P_ARP, linux/if_ether.h
_REQUEST = b"\0\1\x08\0\6\4\0\1"
_REPLY = b"\0\1\x08\0\6\4\0\2"


class SilentAddressUser:
    """Claims the first address that is probed. Use as a context manager."""

    def __init__(self, host: Namespace, mac: MacAddress) -> None:
        self._mac = bytes(mac)
        self.claimed: IPv4Address | None = None
        with inside(host):
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ARP))
            self._socket.bind(("lan0", _ARP))
        self._socket.settimeout(0.1)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._answer)

    def __enter__(self) -> "SilentAddressUser":
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ended.set()
        self._thread.join()
        self._socket.close()

    def _answer(self) -> None:
        while not self._ended.is_set():
            try:
                frame = self._socket.recv(2048)
            except TimeoutError:
                continue
            asking, sender, target = frame[22:28], frame[28:32], frame[38:42]
            if frame[14:22] != _REQUEST or sender != bytes(4):
                continue
            self.claimed = self.claimed or IPv4Address(target)
            if target == self.claimed.packed:
                header = asking + self._mac + _ARP.to_bytes(2, "big")
                self._socket.send(header + _REPLY + self._mac + target + asking + sender)
