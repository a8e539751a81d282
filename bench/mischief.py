"""What a box must endure besides booting PCs: nonsense, half-open transfers, broken connections, an administrator.

Each kind goes on at its own pace until it is cancelled. It comes from addresses of allowed PCs, which get further
than strangers would.
"""

import asyncio
import contextlib
import random
import signal
import socket
import struct
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

from bench.box import BenchBox
from bench.crowd import BOX, Crowd, Place
from tests.fakes.dhcp_client import DISCOVER, firmware, message
from tests.fakes.tftp_peer import rrq

_GARBAGE_SECONDS, _GARBAGE_AT_ONCE = 0.05, 100
_HALF_OPEN_SECONDS = 0.05
_BREAK_SECONDS = 0.1
_SLOW_SECONDS = 0.5
_EDIT_SECONDS = 5.0
_RELOAD_SECONDS = 10.0
_OUTSIDER = "02:00:00:00:00:{:02x}"
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # struct linger


class Mischief:
    """`did` counts what was done, by name."""

    def __init__(self, box: BenchBox, crowd: Crowd, places: Sequence[Place]) -> None:
        self.did: Counter[str] = Counter()
        self._box = box
        self._crowd = crowd
        self._places = places
        self._chance = random.Random(5)  # noqa: S311 - the same nonsense each time
        self._slow: list[socket.socket] = []

    async def make(self) -> None:
        """Do everything at once until it is cancelled."""
        kinds = {
            self._garbage: _GARBAGE_SECONDS,
            self._half_open: _HALF_OPEN_SECONDS,
            self._break_off: _BREAK_SECONDS,
            self._slow_loris: _SLOW_SECONDS,
            self._edit: _EDIT_SECONDS,
            self._reload: _RELOAD_SECONDS,
        }
        try:
            async with asyncio.TaskGroup() as group:
                for kind, pause in kinds.items():
                    group.create_task(again(kind, pause))
        finally:
            for tcp in self._slow:
                tcp.close()

    def _place(self) -> Place:
        return self._chance.choice(self._places)

    async def _garbage(self) -> None:
        with contextlib.closing(self._crowd.udp(self._place())) as udp:
            for _ in range(_GARBAGE_AT_ONCE):
                with contextlib.suppress(OSError):
                    udp.sendto(self._datagram(), (str(BOX), self._chance.choice((67, 69, 4011))))
        self.did["datagrams of nonsense"] += _GARBAGE_AT_ONCE

    def _datagram(self) -> bytes:
        """Nothing but noise, or a message with a few wrong bytes."""
        place = self._place()
        real = (
            message(DISCOVER, bytes(place.mac), firmware(7), xid=self._chance.getrandbits(32)),
            rrq(f"{place.mac.bare}/snponly.efi", blksize=1468, tsize=0),
        )
        data = bytearray(self._chance.choice((*real, self._chance.randbytes(self._chance.randrange(600)))))
        for _ in range(min(len(data), 5)):
            data[self._chance.randrange(len(data))] = self._chance.getrandbits(8)
        return bytes(data)

    async def _half_open(self) -> None:
        place = self._place()
        self._crowd.ask_for_box(place)
        with contextlib.closing(self._crowd.udp(place)) as udp:
            udp.sendto(rrq(f"{place.mac.bare}/snponly.efi", blksize=1468, windowsize=4), (str(BOX), 69))
        self.did["TFTP transfers left open"] += 1

    async def _break_off(self) -> None:
        place = self._place()
        with contextlib.closing(await self._crowd.connected(place)) as tcp:
            path = f"/boot/{place.mac.bare}/loader/snponly.efi"
            await asyncio.get_running_loop().sock_sendall(tcp, f"GET {path} HTTP/1.1\r\nHost: {BOX}\r\n\r\n".encode())
            async with asyncio.timeout(5):
                await asyncio.get_running_loop().sock_recv(tcp, 4096)
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.did["HTTP transfers broken off"] += 1

    async def _slow_loris(self) -> None:
        tcp = await self._crowd.connected(self._place())
        self._slow.append(tcp)
        await asyncio.get_running_loop().sock_sendall(tcp, b"GET /boot/")
        if len(self._slow) > 100:
            self._slow.pop(0).close()
        self.did["HTTP requests never finished"] += 1

    async def _edit(self) -> None:
        mac = _OUTSIDER.format(self._chance.getrandbits(8))
        await asyncio.to_thread(self._box.verb, "allow", "add", mac)
        await asyncio.to_thread(self._box.verb, "allow", "remove", mac)
        self.did["edits of the allowlist"] += 2

    async def _reload(self) -> None:
        assert self._box.process is not None
        self._box.process.signal(signal.SIGHUP)
        self.did["reloads"] += 1


async def again(kind: Callable[[], Awaitable[None]], pause: float) -> None:
    """Do it until cancelled, with a pause in seconds after each; a box that hangs up is no reason to stop."""
    while True:
        with contextlib.suppress(ConnectionError, TimeoutError):
            await kind()
        await asyncio.sleep(pause)
