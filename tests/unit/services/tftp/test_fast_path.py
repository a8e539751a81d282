"""The fast path equals the regular path: two servers get the same packets and send the same, whatever the link does.

One receives in batches and takes the fast path; the other receives one by one and takes every packet through the
transfer. The test sets the clock; packets are lost, doubled and reordered on their way in and out.
"""

import asyncio
import random
import re
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.linux.udp_batches import Unavailable
from services.tftp import ports as tftp_ports
from services.tftp.server import TftpServer
from tests.fakes.event_log import EventLog
from tests.fakes.tftp_peer import Reader, UdpPeer, ack, rrq
from tests.unit.services.tftp.conftest import LOOPBACK, Admission, files

SIZE = 15_003
STRETCH = 32  # blocks per chunk: few, so that many chunks end
CONTENT = random.Random(2).randbytes(SIZE)


class ManualServer:
    """One server, driven by hand: nothing runs but what is called here."""

    def __init__(self, root: Path, clients: int) -> None:
        self.now = 100.0
        self.events = EventLog()
        self.server = TftpServer(
            LOOPBACK, files(root), admit=Admission(), emit=self.events, port=0, clock=lambda: self.now
        )
        self.server.open()
        self.peers = [UdpPeer(self.server.port, f"127.0.0.{number + 2}") for number in range(clients)]

    def receive(self, batch: list[tuple[int, bytes]], now: float) -> list[list[bytes]]:
        """Let these datagrams of the clients arrive together; returns what each client gets."""
        self.now = now
        for client, datagram in batch:
            self.peers[client].send(datagram)
        if self.server._sessions.batches:
            self.server._receive()
        else:
            self.server._receive_one_by_one()
        return self._sent()

    def tick(self, now: float) -> list[list[bytes]]:
        """Let time pass."""
        self.now = now
        self.server._tick()
        return self._sent()

    def _sent(self) -> list[list[bytes]]:
        sent: list[list[bytes]] = [[] for _ in self.peers]
        for received, peer in zip(sent, self.peers, strict=True):
            while True:
                try:
                    received.append(peer.socket.recv(65536))
                except BlockingIOError:
                    break
        return sent

    def close(self) -> None:
        """Close all sockets."""
        self.server.close()
        for peer in self.peers:
            peer.socket.close()


def none(*_: object) -> None:
    """Instead of Batches."""
    raise Unavailable("in this test")


OPTIONS = st.sampled_from(
    [{"windowsize": w, "blksize": b} for w in (1, 2, 7, 16, 64) for b in (60, 150)] + [{}, {"blksize": 150}]
)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), options=st.lists(OPTIONS, min_size=1, max_size=5), loss=st.sampled_from([0, 2, 20]))
def test_the_fast_path_equals_the_regular_path(seed: int, options: list[dict[str, int]], loss: int) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        for module in ("content_cache", "transfer"):
            patch.setattr(f"services.tftp.{module}.blocks_per_chunk", lambda _: STRETCH)
        # These clients never ask again. The server soon gives up one that has acknowledged no DATA; not here.
        patch.setattr("services.tftp.transfer.UNPROVEN_TRIES", 1000)
        root = Path(folder) / "root"
        root.mkdir()
        (root / "file").write_bytes(CONTENT)
        asyncio.run(_play(root, random.Random(seed), options, loss, patch))


async def _play(
    root: Path, chance: random.Random, options: list[dict[str, int]], loss: int, patch: pytest.MonkeyPatch
) -> None:
    fast = ManualServer(root, len(options))
    patch.setattr(tftp_ports, "Batches", none)
    regular = ManualServer(root, len(options))
    assert fast.server._sessions.batches
    assert not regular.server._sessions.batches
    try:
        readers = [Reader(each.get("blksize", 512), each.get("windowsize", 1)) for each in options]
        waiting: list[tuple[int, bytes]] = [
            (number, rrq("file", "octet", **each)) for number, each in enumerate(options)
        ]
        last = dict(waiting)
        now, on_fast_path = 100.0, 0
        for _ in range(4000):
            if not waiting and all(reader.done for reader in readers):
                break
            chance.shuffle(waiting)
            batch, waiting = waiting[:40], waiting[40:]
            batch = [each for each in batch if chance.randrange(1000) >= 10 * loss]
            batch += [each for each in batch if chance.randrange(1000) < loss]
            if chance.randrange(100) < loss:
                stale = chance.randrange(len(readers))
                batch.append((stale, ack(chance.randrange(readers[stale].received + 1))))
            if batch:
                now += chance.choice([0.0, 0.0002, 0.003])
                sent = fast.receive(batch, now)
                assert sent == regular.receive(batch, now)
                on_fast_path += sum(bool(session.chunk) for session in fast.server._sessions.by_peer.values())
            else:
                now += chance.choice([0.02, 0.2, 1.0])
                sent = fast.tick(now)
                assert sent == regular.tick(now)
                waiting += [(number, last[number]) for number, reader in enumerate(readers) if not reader.done]
            for number, packets in enumerate(sent):
                if chance.randrange(100) < loss:
                    chance.shuffle(packets)
                for packet in packets:
                    if chance.randrange(1000) < 10 * loss:
                        continue
                    assert packet[:2] != b"\0\5", packet
                    if packet[:2] == b"\0\6" and (granted := re.search(rb"windowsize\0(\d+)\0", packet)):
                        readers[number].window = int(granted[1])
                    if answer := readers[number].answer(packet):
                        last[number] = answer
                        waiting.append((number, answer))
        assert [bytes(reader.content) == CONTENT for reader in readers] == [True] * len(readers)
        assert on_fast_path or not any(each.get("windowsize", 1) <= 7 for each in options), "none took the fast path"
        fast.tick(now + 60)
        regular.tick(now + 60)
        # Events of the same tick have no fixed order.
        assert Counter(map(str, fast.events.seen)) == Counter(map(str, regular.events.seen))
    finally:
        fast.close()
        regular.close()
