"""A thousand DHCP clients on one socket: each discovers, requests, and asks again when nobody answers."""

import asyncio
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from tests.fakes.dhcp_client import DISCOVER, REQUEST, Answer, message

_BROADCAST = 0x8000
_TIMEOUT = 2.0  # seconds that a client waits for an answer
_TRIES = 15


@dataclass
class Crowd:
    """The clients of one socket, which is bound to port 68. `offered` counts the OFFERs; `leased` has the latest
    address of each MAC address, in the order of the ACKs."""

    udp: socket.socket
    offered: int = 0
    leased: dict[bytes, IPv4Address] = field(default_factory=dict)
    _waiting: dict[bytes, "asyncio.Future[Answer]"] = field(default_factory=dict)

    async def lease(
        self, macs: Sequence[bytes], at_once: int, progress: Callable[[int], None] = lambda _: None
    ) -> None:
        """Get a lease for each, `at_once` at the same time; `progress` is called with the number of leases so far.

        Raises TimeoutError when a client gets none."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self.udp, self._receive)
        places = asyncio.Semaphore(at_once)
        done = 0

        async def one(mac: bytes) -> None:
            nonlocal done
            async with places:
                self.leased[mac] = await self._dora(mac)
            done += 1
            progress(done)

        try:
            await asyncio.gather(*(one(mac) for mac in macs))
        finally:
            loop.remove_reader(self.udp)

    async def _dora(self, mac: bytes) -> IPv4Address:
        for number in range(_TRIES):
            try:
                offer = await self._ask(DISCOVER, mac, number, [])
                self.offered += 1
                wanted = [(54, offer.options[54]), (50, IPv4Address(offer.yiaddr).packed)]
                answer = await self._ask(REQUEST, mac, number, wanted)
            except TimeoutError:
                continue
            if answer.options[53] == b"\5":
                assert answer.yiaddr == offer.yiaddr
                return IPv4Address(answer.yiaddr)
        raise TimeoutError(f"{mac.hex(':')} got no lease")

    async def _ask(self, kind: int, mac: bytes, number: int, options: list[tuple[int, bytes]]) -> Answer:
        xid = int.from_bytes(mac[3:], "big") << 8 | number << 1 | (kind == REQUEST)
        self._waiting[xid.to_bytes(4, "big")] = waiting = asyncio.get_running_loop().create_future()
        try:
            self.udp.sendto(message(kind, mac, options, xid=xid, flags=_BROADCAST), ("255.255.255.255", 67))
            return await asyncio.wait_for(waiting, _TIMEOUT)
        finally:
            self._waiting.pop(xid.to_bytes(4, "big"), None)

    def _receive(self) -> None:
        while True:
            try:
                datagram = self.udp.recv(4096)
            except BlockingIOError:
                return
            waiting = self._waiting.get(datagram[4:8])
            if waiting is not None and not waiting.done():
                waiting.set_result(Answer.parse(datagram))
