"""Which port a transfer comes from: the server's or one of its own; and what a session costs."""

import asyncio
import gc
import os
import socket
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.decision import Reason
from services.events import Ignored, TransferFailed, TransferServed
from services.tftp import content_cache, responder
from services.tftp import ports as tftp_ports
from services.tftp.server import TftpServer
from tests.fakes.event_log import EventLog
from tests.fakes.tftp_peer import Reader, UdpPeer, ack, data, oack, rrq
from tests.unit.services.tftp.conftest import CONTENT, LOOPBACK, Admission, files


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.fixture
async def strict(root: Path, events: EventLog, admission: Admission) -> AsyncIterator[TftpServer]:
    server = TftpServer(LOOPBACK, files(root), admit=admission, emit=events, port=0, ports="session")
    server.open()
    yield server
    server.close()


async def first(peer: UdpPeer, request: bytes) -> bytes:
    """Ask, and go on with the port that answers."""
    peer.send(request)
    datagram, peer.server = await asyncio.get_running_loop().sock_recvfrom(peer.socket, 70000)
    return datagram


async def test_a_port_for_each_transfer(strict: TftpServer, events: EventLog) -> None:
    before, ports = descriptors(), set()
    for options in ({}, {"blksize": 1468, "windowsize": 16}):
        with UdpPeer(strict.port) as peer:
            reader = Reader(options.get("blksize", 512), options.get("windowsize", 1))
            datagram = await first(peer, rrq("file", "octet", **options))
            ports.add(peer.server[1])
            while True:
                if answer := reader.answer(datagram):
                    peer.send(answer)
                if reader.done:
                    break
                datagram = await peer.receive()
            assert bytes(reader.content) == CONTENT
            await events.next(TransferServed)
    assert strict.port not in ports
    assert len(ports) == 2
    assert descriptors() == before


async def test_no_block_is_larger_than_the_box_allows(root: Path, admission: Admission) -> None:
    """Loopback takes 64 KiB in a packet, as a port with jumbo frames takes 9000 bytes."""
    server = TftpServer(LOOPBACK, files(root), admit=admission, emit=lambda _: None, port=0, most_in_block=1468)
    server.open()
    try:
        with UdpPeer(server.port) as peer:
            assert oack(await peer.ask(rrq("file", "octet", blksize=8192)))["blksize"] == "1468"
    finally:
        server.close()


async def test_an_own_port_listens_to_its_client_only(strict: TftpServer) -> None:
    with UdpPeer(strict.port) as peer, UdpPeer(strict.port, "127.0.0.2") as stranger:
        assert data(await first(peer, rrq("file")))[0] == 1
        stranger.server = peer.server
        stranger.send(ack(1))
        stranger.send(b"\0\5\0\0gone\0")
        assert data(await peer.ask(ack(1)))[0] == 2


async def test_a_client_that_went_away_ends_no_other(strict: TftpServer, events: EventLog) -> None:
    with UdpPeer(strict.port) as gone:
        await first(gone, rrq("file", blksize=1468, windowsize=16))
        gone.send(ack(0))
    with UdpPeer(strict.port) as peer:
        assert data(await first(peer, rrq("small"))) == (1, b"small")
    strict.close()
    assert await events.next(TransferFailed)


async def test_without_a_free_port_the_client_has_to_ask_again(
    strict: TftpServer, events: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: object) -> socket.socket:
        raise OSError(24, "Too many open files")

    with UdpPeer(strict.port) as peer:
        before = descriptors()
        with monkeypatch.context() as patch:
            patch.setattr(tftp_ports, "bind_udp", none)
            peer.send(rrq("file"))
            assert (await events.next(Ignored)).reason is Reason.TOO_MANY
        assert peer.quiet
        assert descriptors() == before
        assert data(await first(peer, rrq("file")))[0] == 1


async def test_what_a_session_costs(root: Path, admission: Admission, monkeypatch: pytest.MonkeyPatch) -> None:
    """No descriptor, and less than a kilobyte."""
    monkeypatch.setattr(content_cache, "_YOUNG", 0)  # else the file is laid out again when this test is slow
    # The clock stands still, so that the number of ticks with deadlines does not depend on the machine's speed.
    server = TftpServer(LOOPBACK, files(root), admit=admission, emit=lambda _: None, port=0, clock=lambda: 1000.0)
    server.open()
    count = 300
    monkeypatch.setattr(responder, "MOST_SESSIONS_A_CLIENT", count)
    peers = [UdpPeer(server.port) for _ in range(count)]

    async def begin(peer: UdpPeer) -> None:
        await peer.ask(rrq("file", blksize=1468, tsize=0))
        await peer.ask(ack(0))
        await peer.ask(ack(1))

    try:
        await begin(peers[0])
        gc.collect()
        before = descriptors()
        tracemalloc.start()
        for peer in peers[1:]:
            await begin(peer)
        gc.collect()
        ours = [tracemalloc.Filter(True, "*/services/*"), tracemalloc.Filter(False, "*/tests/*")]
        taken = tracemalloc.take_snapshot().filter_traces(ours)
        tracemalloc.stop()
        assert len(server._sessions.by_peer) == count
        assert descriptors() == before
        assert sum(each.size for each in taken.statistics("filename")) / (count - 1) < 1000
    finally:
        tracemalloc.stop()
        server.close()
        for peer in peers:
            peer.socket.close()
