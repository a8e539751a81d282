"""Datagrams of several peers to a real TFTP server on loopback, as one input (pieces.py). One peer is a stranger.

Must hold: no fault is logged; the stranger gets nothing; nothing is sent but errors, options and parts of the files
served; afterwards an honest client is served; when all peers have left, no session and no descriptor remains.
"""

import asyncio
import os
import random
from ipaddress import IPv4Address
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

from services.decision import Ignore, Reason
from services.ethernet import MacAddress
from services.menus.menu import Dialect
from services.tftp.files import Files
from services.tftp.responder import MOST_SESSIONS_A_CLIENT
from services.tftp.server import TftpServer
from tests.captures import all_captures, datagrams
from tests.fakes.tftp_peer import Reader, UdpPeer, ack, rrq
from tests.fuzz.faults import Faults
from tests.fuzz.pieces import join, split

MAC = MacAddress.parse("52:54:00:aa:bb:cc")
LOOPBACK = IPv4Address("127.0.0.1")
STRANGER = "127.0.0.3"
SOURCES = ("127.0.0.2", "127.0.0.2", "127.0.0.4", STRANGER)
MOST_PIECES = 40
FILE, SMALL, KERNEL = random.Random(1).randbytes(5000), b"small", b"kernel" * 200
SCRIPTS = {dialect: f"the script of {dialect}\n" * 40 for dialect in Dialect}
CONTENTS = (FILE, SMALL, KERNEL, *(script.encode() for script in SCRIPTS.values()))
_SECRET = b"nobody may read this"
_LEAVE = b"\0\5\0\0bye\0"


def seeds() -> list[bytes]:
    """Whole transfers with several options, a size probe, odd names, and the requests of captured firmware."""
    probe = [(0, rrq("small", tsize=0, blksize=1468)), (0, b"\0\5\0\x08User aborted the transfer\0")]
    plain = [(1, rrq("file")), *((1, ack(block)) for block in range(1, 11))]
    window = [(2, rrq("file", blksize=512, windowsize=4, timeout=1)), *((2, ack(block)) for block in (0, 4, 2, 8, 10))]
    small = [
        (0, rrq("file", blksize=8, windowsize=64)),
        *((0x80, ack(block)) for block in (0, *range(64, 626, 64), 625)),
    ]
    odd = [rrq(name) for name in ("..\\secret", "//file", "525400aabbcc/small", "/etc/passwd", b"f\xffle", "a" * 400)]
    odd += [
        rrq(name) for name in ("/grub/x86_64-efi/grub.cfg", "EFI/debian/grub.cfg", "image/r1/vmlinuz", "loader/small")
    ]
    odd += [rrq("525400aabbcc/pxelinux.cfg/01-52-54-00-aa-bb-cc"), rrq("image/../secret"), rrq("image/.r2/vmlinuz")]
    odd += [b"\0\2file\0octet\0", b"\0\1file\0mail\0", b"\0\3\0\1data", b"\0\6tsize\0\0"]
    captured = [(3, each.payload) for name in all_captures() for each in datagrams(name, 69)]
    return [join(pieces) for pieces in (probe, plain, window, small, [(1, each) for each in odd], captured)]


class Target:
    """The server, which runs from the first input to the last, and its peers."""

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._folder = TemporaryDirectory()
        root = Path(self._folder.name) / "root"
        root.mkdir()
        (root / "file").write_bytes(FILE)
        (root / "small").write_bytes(SMALL)
        (root.parent / "secret").write_bytes(_SECRET)
        images = root.parent / "images"
        for release, content in (("r1", KERNEL), (".r2", _SECRET)):
            (images / release).mkdir(parents=True)
            (images / release / "vmlinuz").write_bytes(content)
        files = Files(root, images, lambda dialect, *_: SCRIPTS[dialect], lambda _: "begin")
        self.server = TftpServer(LOOPBACK, files, admit=self._admit, emit=lambda _: None, port=0)
        self._loop.run_until_complete(self._open())
        self._peers = [UdpPeer(self.server.port, source) for source in SOURCES]
        self._honest = UdpPeer(self.server.port)
        self._faults = Faults("services.tftp")
        self._descriptors = len(os.listdir("/proc/self/fd"))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for peer in (*self._peers, self._honest):
            peer.socket.close()
        self._loop.run_until_complete(self._close())
        self._loop.close()
        self._folder.cleanup()
        self._faults.close()

    def __call__(self, data: bytes) -> None:
        """Play one input."""
        self._loop.run_until_complete(asyncio.wait_for(self._play(data), 20))

    async def _play(self, data: bytes) -> None:
        for whose, datagram in split(data, MOST_PIECES):
            self._peers[whose % len(self._peers)].send(datagram)
            if whose & 0x80:
                await asyncio.sleep(0)  # let the server receive before more is sent
        assert await self._honest.fetch(rrq("small"), Reader()) == SMALL
        sessions = self.server._sessions.by_peer
        assert len(sessions) <= len(SOURCES) + 1
        assert len(sessions) <= MOST_SESSIONS_A_CLIENT
        for peer in self._peers:
            for datagram in self._received(peer):
                assert peer.address[0] != STRANGER, "a stranger was answered"
                assert _fit(datagram), datagram[:60]
            peer.send(_LEAVE)
        # Its file comes after all answers to them; its own last ACK may still be under way.
        assert await self._honest.fetch(rrq("small"), Reader()) == SMALL
        self._honest.send(_LEAVE)
        while sessions:
            await asyncio.sleep(0)
        assert not self.server._sessions.blocked
        for peer in self._peers:
            self._received(peer)
        assert len(os.listdir("/proc/self/fd")) == self._descriptors
        self._faults.check()

    def _admit(self, claimed: MacAddress | None, peer: IPv4Address) -> MacAddress | Ignore:
        return Ignore(Reason.NOT_ALLOWED) if str(peer) == STRANGER else MAC

    async def _open(self) -> None:
        self.server.open()

    async def _close(self) -> None:
        self.server.close()

    def _received(self, peer: UdpPeer) -> list[bytes]:
        received: list[bytes] = []
        while True:
            try:
                received.append(peer.socket.recv(65536))
            except BlockingIOError:
                return received


def _fit(datagram: bytes) -> bool:
    opcode = datagram[:2]
    if opcode == b"\0\3":
        return any(datagram[4:] in content for content in CONTENTS)
    return opcode in (b"\0\5", b"\0\6") and _SECRET not in datagram and len(datagram) < 600
