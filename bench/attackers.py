"""The attackers of docs/security.md, all at once: floods of DHCP, HTTP, TFTP and reports, each at its own pace.

They are PCs that are allowed and were taken over, and strangers that forge the addresses of others. Each kind goes on
until it is cancelled.
"""

import asyncio
import contextlib
import itertools
import random
import socket
from collections import Counter
from collections.abc import Sequence
from ipaddress import IPv4Address

from bench.crowd import BOX, FIRST_MAC, MOST, Crowd, Place
from bench.mischief import again
from services.ethernet import MacAddress
from tests.fakes.dhcp_client import DISCOVER, firmware, message
from tests.fakes.tftp_peer import ack, rrq
from tests.netns.scripted_pc import BootScript

ATTACKED = 4
"""How many PCs of the crowd the attackers use or forge."""

_TICK = 0.02
_DISCOVERS_A_TICK = 100  # 5,000 a second, 14 Mbit/s
_MADE_UP_A_TICK = 10
_CLAIMS_A_TICK = 5
_SPOOFED_A_TICK = 2
_ENDLESS_AT_ONCE = 9
_PIECE = 1 << 16
_CHUNKED = "POST /boot/{mac}/x/report HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
_ENDLESS = (
    ("", "\r\n"),
    ("GET / HTTP/1.1\r\n", "A: b\r\n"),
    (_CHUNKED, "1\r\nx\r\n"),
    (_CHUNKED + "1;", "x"),
    (_CHUNKED + "0\r\n", "A: b\r\n"),
)
"""How requests begin, and what then follows without end."""
_SHORT_REPORT, _LONG_REPORT = 900, 62_000
_STRANGER = MacAddress.parse("02:66:00:00:00:01")
_STRANGERS_ADDRESS = IPv4Address("10.80.200.1")
_NOBODY = MacAddress.parse("02:66:00:00:00:00")


class Attackers:
    """`did` counts what was done, by name. `places` are ATTACKED allowed PCs, one for each attack that needs one."""

    def __init__(self, crowd: Crowd, places: Sequence[Place]) -> None:
        self.did: Counter[str] = Counter()
        self._crowd = crowd
        self._places = places
        self._count = itertools.count(1)
        self._chance = random.Random(7)  # noqa: S311 - the same attacks each time
        self._made_up = itertools.cycle(range(MOST, 1 << 16))

    async def make(self) -> None:
        """Attack until it is cancelled."""
        kinds = [
            self._counting_discovers,
            self._made_up_clients,
            self._claimed_macs,
            self._spoofed_reads,
            self._junk_reports,
            *[self._endless_request] * _ENDLESS_AT_ONCE,
        ]
        async with asyncio.TaskGroup() as group:
            for kind in kinds:
                group.create_task(again(kind, _TICK))

    async def _counting_discovers(self) -> None:
        """DISCOVERs of one allowed PC whose `secs` counts, so that none repeats another."""
        mac = self._places[0].mac
        for _ in range(_DISCOVERS_A_TICK):
            number = next(self._count)
            self._discover(mac, xid=number & 0xFFFFFFFF, secs=number & 0xFFFF)
        self.did["DISCOVERs of one PC"] += _DISCOVERS_A_TICK

    async def _made_up_clients(self) -> None:
        """A DISCOVER from each address of a wide allowed range."""
        for _ in range(_MADE_UP_A_TICK):
            self._discover(MacAddress(FIRST_MAC.value + next(self._made_up)), xid=next(self._count), secs=0)
        self.did["DISCOVERs of made-up PCs"] += _MADE_UP_A_TICK

    def _discover(self, mac: MacAddress, *, xid: int, secs: int) -> None:
        self._crowd.broadcast(Place(mac, BOX), message(DISCOVER, bytes(mac), firmware(7), xid=xid, secs=secs))

    async def _claimed_macs(self) -> None:
        """A stranger claims another MAC address in each TFTP request."""
        for _ in range(_CLAIMS_A_TICK):
            claimed = MacAddress(_NOBODY.value + next(self._count) % (1 << 24))
            request = rrq(f"{claimed.bare}/snponly.efi", blksize=1468)
            self._crowd.forge(_STRANGER, (_STRANGERS_ADDRESS, 2070), (BOX, 69), request)
        self.did["TFTP requests with claimed MAC addresses"] += _CLAIMS_A_TICK

    async def _spoofed_reads(self) -> None:
        """A read request in the name of an allowed PC, and a blind ACK of its options: the PC is to be flooded."""
        victim = self._places[1]
        for _ in range(_SPOOFED_A_TICK):
            source = victim.address, 30_000 + next(self._count) % 30_000
            request = rrq(f"{victim.mac.bare}/snponly.efi", blksize=1468, windowsize=64)
            self._crowd.forge(victim.mac, source, (BOX, 69), request)
            self._crowd.forge(victim.mac, source, (BOX, 69), ack(0))
        self.did["spoofed TFTP reads"] += _SPOOFED_A_TICK

    async def _junk_reports(self) -> None:
        """A work unit that knows its boot's token reports as much as it can."""
        place = self._places[2]
        path = f"/boot/{place.mac.bare}"
        with contextlib.closing(await self._crowd.connected(place)) as tcp:
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(tcp, f"GET {path}/boot.ipxe HTTP/1.1\r\nHost: {BOX}\r\n\r\n".encode())
            token = BootScript.parse((await self._read(tcp)).partition(b"\r\n\r\n")[2].decode(), path).token
            for number in itertools.count():
                reason = f"{number}" + "y" * (_LONG_REPORT if number % 10 == 9 else _SHORT_REPORT)
                body = f"stage=failed&event=x&mac=x&self=x&reason={reason}"
                head = f"POST {path}/{token}/report HTTP/1.1\r\nHost: {BOX}\r\nContent-Length: {len(body)}\r\n\r\n"
                await loop.sock_sendall(tcp, (head + body).encode())
                self.did["reports of junk"] += 1
                await self._read(tcp)

    async def _endless_request(self) -> None:
        """Empty lines, fields, chunks, an extension or trailers without end."""
        place, (begun, more) = self._places[3], self._chance.choice(_ENDLESS)
        with contextlib.closing(await self._crowd.connected(place)) as tcp:
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(tcp, begun.replace("{mac}", place.mac.bare).encode())
            self.did["HTTP requests without end"] += 1
            while True:
                async with asyncio.timeout(10):
                    await loop.sock_sendall(tcp, (more * (_PIECE // len(more))).encode())
                await asyncio.sleep(_TICK / 10)

    async def _read(self, tcp: socket.socket) -> bytes:
        """One answer of less than 64 kB; ConnectionError when the box has hung up."""
        async with asyncio.timeout(10):
            answer = await asyncio.get_running_loop().sock_recv(tcp, _PIECE)
        if not answer:
            raise ConnectionResetError("the box has hung up")
        return answer
