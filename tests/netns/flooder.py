"""Floods a server: `python -m tests.netns.flooder udp|tcp ADDRESS PORT...`. Sends random bytes until
SIGTERM, then prints how many datagrams or connections that were. `discover ADDRESS RATE` sends so many DISCOVERs a
second in the name of one PC that may boot; each has another xid and `secs`, as if the PC were asking again. `macs
ADDRESS RATE` sends each in the name of another PC of the range 02:*. `claims ADDRESS RATE` asks for a boot file by
TFTP, each time as another PC.

UDP uses the kernel's segmentation offload (UDP_SEGMENT, udp(7)): some forty datagrams for each call.
"""

import contextlib
import os
import random
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable
from itertools import count, cycle

from tests.fakes.dhcp_client import DISCOVER, firmware, message
from tests.fakes.tftp_peer import rrq

_UDP_SEGMENT = 103  # linux/udp.h
_MOST_SEGMENTS = 64
_LONGEST = 65000
_STOCK = 4 << 20
_SOMEBODY = bytes.fromhex("52540079ffff")


class _Stopped(BaseException):
    pass


def _stop(*_: object) -> None:
    raise _Stopped


def flood_udp(address: str, ports: list[int]) -> int:
    """Send datagrams of random bytes and sizes to each port in turn; returns how many."""
    sent, chance, stock = 0, random.Random(67), memoryview(os.urandom(_STOCK))
    with contextlib.suppress(_Stopped), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        signal.signal(signal.SIGTERM, _stop)
        for port in cycle(ports):
            size = chance.choice((1, 4, 30, 300, 548, 1400)) + chance.randrange(40)
            count = min(_MOST_SEGMENTS, _LONGEST // size)
            at = chance.randrange(_STOCK - size * count)
            segmented = [(socket.IPPROTO_UDP, _UDP_SEGMENT, struct.pack("=H", size))]
            udp.sendmsg([stock[at : at + size * count]], segmented, 0, (address, port))
            sent += count
    return sent


def flood_tcp(address: str, ports: list[int]) -> int:
    """Open connections and send random bytes on each; returns how many."""
    made, chance = 0, random.Random(80)
    with contextlib.suppress(_Stopped):
        signal.signal(signal.SIGTERM, _stop)
        for port in cycle(ports):
            with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=10) as tcp:
                made += 1
                tcp.sendall(chance.randbytes(chance.choice((1, 100, 5000))))
    return made


def flood_discover(address: str, rates: list[int]) -> int:
    """Send DISCOVERs of one PC, as many a second as the only number in `rates`; returns how many."""
    sent, began = 0, time.monotonic()
    with contextlib.suppress(_Stopped), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        signal.signal(signal.SIGTERM, _stop)
        udp.bind(("", 68))
        for sent in count():
            while sent > (time.monotonic() - began) * rates[0]:
                time.sleep(0.001)
            asks = message(DISCOVER, _SOMEBODY, firmware(7), xid=sent, secs=sent & 0xFFFF)
            udp.sendto(asks, (address, 67))
    return sent


def flood_macs(address: str, rates: list[int]) -> int:
    """Send DISCOVERs, each with a MAC address that was never seen before; returns how many."""
    return _flood_with_names(address, 67, rates[0], lambda mac: message(DISCOVER, mac, firmware(7), xid=mac[-1]))


def flood_claims(address: str, rates: list[int]) -> int:
    """Ask for a boot file, each time with another MAC address in its path; returns how often."""
    return _flood_with_names(address, 69, rates[0], lambda mac: rrq(f"{mac.hex()}/snponly.efi"))


def _flood_with_names(address: str, port: int, rate: int, asks: Callable[[bytes], bytes]) -> int:
    sent, began, chance = 0, time.monotonic(), random.Random(2)
    with contextlib.suppress(_Stopped), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        signal.signal(signal.SIGTERM, _stop)
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        udp.bind(("", 68 if port == 67 else 0))
        for sent in count():
            while sent > (time.monotonic() - began) * rate:
                time.sleep(0.001)
            udp.sendto(asks(b"\x02" + chance.randbytes(5)), (address, port))
    return sent


if __name__ == "__main__":
    _, how, where, *numbers = sys.argv
    floods = {"udp": flood_udp, "tcp": flood_tcp, "discover": flood_discover}
    floods |= {"macs": flood_macs, "claims": flood_claims}
    print(floods[how](where, [int(number) for number in numbers]))
