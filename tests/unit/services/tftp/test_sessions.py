"""Transfers on a real socket: loss, silence, floods, files that change; and how the server stops."""

import asyncio
import errno
import logging
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from services import draining
from services.decision import Ignore, Reason
from services.events import Ignored, TransferFailed, TransferProgressed, TransferServed
from services.linux.sockets import BindError
from services.linux.udp_batches import Unavailable, sender_beside
from services.tftp import content_cache, responder
from services.tftp import files as tftp_files
from services.tftp import ports as tftp_ports
from services.tftp.server import TftpServer
from tests.fakes.event_log import EventLog
from tests.fakes.tftp_peer import Reader, UdpPeer, ack, data, error, rrq
from tests.unit.services.tftp.conftest import CONTENT, LOOPBACK, MAC, Admission, files, serves


async def test_a_lost_packet_is_soon_sent_again(peer: UdpPeer) -> None:
    first = await peer.ask(rrq("file"))
    second = await peer.ask(ack(1))
    assert (data(first)[0], data(second)[0]) == (1, 2)
    assert await peer.receive() == second


async def test_a_duplicate_ack_sends_nothing(peer: UdpPeer, no_retransmission: None) -> None:
    await peer.ask(rrq("file"))
    await peer.ask(ack(1))
    peer.send(ack(1))
    peer.send(ack(1))
    assert data(await peer.ask(ack(2)))[0] == 3
    assert peer.quiet


async def test_a_duplicate_request_does_not_restart_the_transfer(
    peer: UdpPeer, events: EventLog, no_retransmission: None
) -> None:
    request = rrq("file", blksize=1468)
    assert await peer.ask(request) == await peer.ask(request)
    assert data(await peer.ask(ack(0)))[0] == 1
    peer.send(request)
    assert data(await peer.ask(ack(1)))[0] == 2
    assert peer.quiet
    assert len(events.of(TransferProgressed)) == 1


async def test_another_request_from_the_same_port_replaces_the_transfer(peer: UdpPeer, events: EventLog) -> None:
    await peer.ask(rrq("file"))
    assert data(await peer.ask(rrq("small"))) == (1, b"small")
    assert await events.next(TransferFailed) == TransferFailed(MAC, "tftp", "file", 0, "the client sent a new request")


async def test_a_reset_pc_may_ask_again_from_the_same_port(
    peer: UdpPeer, events: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    await peer.ask(rrq("file"))
    assert data(await peer.ask(ack(1)))[0] == 2
    monkeypatch.setattr("services.tftp.transfer.RESTART_AFTER", 0.0)
    assert data(await peer.ask(rrq("file")))[0] == 1


async def test_the_client_may_abort(server: TftpServer, peer: UdpPeer, events: EventLog) -> None:
    await peer.ask(rrq("file"))
    await peer.ask(ack(1))
    peer.send(b"\0\5\0\3disk full\0")
    failed = await events.next(TransferFailed)
    assert (failed.sent, failed.why) == (512, "the client aborted with error 3: disk full")


async def test_gives_up_on_a_silent_client(peer: UdpPeer, events: EventLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.tftp.transfer.TRIES", 2)
    await peer.ask(rrq("file"))
    await peer.ask(ack(1))
    failed = await events.next(TransferFailed)
    assert failed.sent == 512
    assert "stopped answering" in failed.why


async def test_served_means_acknowledged(peer: UdpPeer, events: EventLog) -> None:
    assert data(await peer.ask(rrq("small"))) == (1, b"small")
    assert not events.of(TransferServed)
    peer.send(ack(1))
    await events.next(TransferServed)


async def test_progress_is_reported_once_in_a_while(
    peer: UdpPeer, events: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.tftp.sessions._REPORT_EVERY", 0.03)
    await peer.ask(rrq("file"))
    for block in range(1, 6):
        await peer.ask(ack(block))
    await events.next(TransferProgressed)
    assert await events.next(TransferProgressed) == TransferProgressed(MAC, "tftp", "file", 5 * 512, len(CONTENT))


async def test_a_replaced_file_is_served_to_its_end(root: Path, peer: UdpPeer) -> None:
    reader = Reader()
    peer.send(reader.answer(await peer.ask(rrq("file"))) or b"")
    (root / "new").write_bytes(b"new")
    (root / "new").replace(root / "file")
    while not reader.done:
        peer.send(reader.answer(await peer.receive()) or b"")
    assert bytes(reader.content) == CONTENT


async def test_a_file_that_shrinks_ends_its_transfer(server: TftpServer, root: Path, peer: UdpPeer) -> None:
    """What is laid out by then is sent: the first 512 blocks of 512 bytes."""
    reader = Reader()
    peer.send(reader.answer(await peer.ask(rrq("file"))) or b"")
    os.truncate(root / "file", 600)
    got = await to_its_end(peer, reader)
    assert got == (0, "the file can no longer be read")
    assert bytes(reader.content) == CONTENT[: 512 * 512]
    assert await serves(server)


@pytest.mark.parametrize(("block", "window"), [(512, 1), (100, 16), (1468, 4)])
@pytest.mark.parametrize("cached", [False, True])
async def test_a_file_that_is_rewritten_in_place_is_never_mixed(
    server: TftpServer,
    root: Path,
    peer: UdpPeer,
    monkeypatch: pytest.MonkeyPatch,
    block: int,
    window: int,
    cached: bool,
) -> None:
    """The client gets the old content or an ERROR; a later client gets the new content."""
    monkeypatch.setattr(content_cache, "_YOUNG", 0)  # what is read of a young file is not kept for long
    reader, request = Reader(block, window), rrq("file", blksize=block, windowsize=window)
    new = bytes(len(CONTENT))
    if cached:
        with UdpPeer(server.port) as other:
            assert await other.fetch(request, Reader(block, window)) == CONTENT
    peer.send(request)
    while reader.received < 3:
        if answer := reader.answer(await peer.receive()):
            peer.send(answer)
    await asyncio.sleep(0.01)  # a tick of the file system's clock
    with (root / "file").open("r+b") as file:
        file.write(new)
    got = await to_its_end(peer, reader)
    content = bytes(reader.content)
    if cached or got is None:
        assert content == CONTENT
    else:
        assert got == (0, "the file can no longer be read")
        assert content == CONTENT[: len(content)]
    with UdpPeer(server.port) as other:
        assert await other.fetch(request, Reader(block, window)) == new


async def to_its_end(peer: UdpPeer, reader: Reader) -> tuple[int, str] | None:
    """Read on to the end; returns the server's ERROR, if there was one."""
    while not reader.done:
        datagram = await peer.receive()
        if datagram[:2] == b"\0\5":
            return error(datagram)
        if answer := reader.answer(datagram):
            peer.send(answer)
    return None


async def test_the_number_of_transfers_is_bounded(
    server: TftpServer, events: EventLog, monkeypatch: pytest.MonkeyPatch, no_retransmission: None
) -> None:
    monkeypatch.setattr(responder, "MOST_SESSIONS", 3)
    monkeypatch.setattr(responder, "MOST_SESSIONS_A_CLIENT", 2)
    sources = ["127.0.0.1", "127.0.0.1", "127.0.0.1", "127.0.0.2", "127.0.0.3"]
    peers = [UdpPeer(server.port, source) for source in sources]
    answered = []
    for one in peers:
        one.send(rrq("file"))
        event = await events.next(object)
        answered.append(isinstance(event, TransferProgressed))
        if answered[-1]:
            assert data(await one.receive())[0] == 1
            assert data(await one.ask(ack(1)))[0] == 2
        assert one.quiet
    assert answered == [True, True, False, True, False]
    assert {event.reason for event in events.of(Ignored)} == {Reason.TOO_MANY}
    peers[0].send(b"\0\5\0\0gone\0")
    await events.next(TransferFailed)
    assert data(await peers[4].ask(rrq("file")))[0] == 1
    for one in peers:
        one.socket.close()


async def test_clients_that_never_acknowledged_make_room(
    server: TftpServer, events: EventLog, monkeypatch: pytest.MonkeyPatch, no_retransmission: None
) -> None:
    """The one that has waited longest, and never one that has acknowledged anything."""
    monkeypatch.setattr(responder, "MOST_SESSIONS", 3)
    peers = [UdpPeer(server.port, f"127.0.0.{number}") for number in range(2, 8)]
    for one in peers[:3]:
        assert data(await one.ask(rrq("file")))[0] == 1
    assert data(await peers[0].ask(ack(1)))[0] == 2
    assert data(await peers[3].ask(rrq("small"))) == (1, b"small")
    assert data(await peers[0].ask(ack(2)))[0] == 3
    assert data(await peers[2].ask(ack(1)))[0] == 2
    assert data(await peers[4].ask(rrq("file")))[0] == 1
    assert data(await peers[4].ask(ack(1)))[0] == 2
    for gone in (peers[1], peers[3]):
        gone.send(ack(1))
        failed = await events.next(TransferFailed)
        assert (failed.sent, failed.why) == (0, "the client acknowledged nothing, and other clients needed the place")
    assert not events.of(TransferServed)
    peers[5].send(rrq("file"))
    assert (await events.next(Ignored)).reason is Reason.TOO_MANY
    assert [peer.socket.fileno() for peer in peers if not peer.quiet] == []
    for one in peers:
        one.socket.close()


async def test_without_a_free_descriptor_the_client_has_to_ask_again(
    peer: UdpPeer, events: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as exhausted:
        exhausted.setattr(tftp_files, "open_beneath", lambda *_: Ignore(Reason.TOO_MANY))
        peer.send(rrq("file"))
        assert (await events.next(Ignored)).reason is Reason.TOO_MANY
    assert peer.quiet
    assert data(await peer.ask(rrq("file")))[0] == 1


async def test_a_client_that_vanishes_does_not_harm_others(server: TftpServer, events: EventLog) -> None:
    """Its port is closed, so each packet for it comes back as an ICMP error."""
    with UdpPeer(server.port) as gone:
        await gone.ask(rrq("file", blksize=1468, windowsize=64))
        gone.send(ack(0))
    assert await serves(server)


class FullSocket(socket.socket):
    """Has no room for every third packet, has a full device queue for every seventh, and does not cut windows."""

    sends = 0

    def sendto(self, *arguments: Any) -> int:
        self.sends += 1
        if self.sends % 3 == 0:
            raise BlockingIOError(errno.EAGAIN, "full")
        if self.sends % 7 == 0:
            raise OSError(errno.ENOBUFS, "no buffer")
        return super().sendto(*arguments)

    def sendmsg(self, *_: Any) -> int:
        raise OSError(errno.EINVAL, "a segment is too long")


@pytest.mark.parametrize("batches", [False, True], ids=["one by one", "in batches"])
async def test_a_full_socket_only_delays_transfers(
    root: Path, events: EventLog, admission: Admission, monkeypatch: pytest.MonkeyPatch, batches: bool
) -> None:
    def beside(udp: socket.socket) -> socket.socket:
        return FullSocket(fileno=sender_beside(udp).detach())

    def none(*_: object) -> None:
        raise Unavailable("in this test")

    monkeypatch.setattr(tftp_ports, "sender_beside", beside)
    if not batches:
        monkeypatch.setattr(tftp_ports, "Batches", none)
    monkeypatch.setattr("services.tftp.transfer.SHORTEST_WAIT", 0.001)
    (root / "file").write_bytes(CONTENT[:60_000])
    server = TftpServer(LOOPBACK, files(root), admit=admission, emit=events, port=0)
    server.open()
    with UdpPeer(server.port) as one, UdpPeer(server.port, "127.0.0.2") as two:
        fetched = await asyncio.gather(
            *(peer.fetch(rrq("file", blksize=512, windowsize=16), Reader(512, 16)) for peer in (one, two))
        )
    assert fetched == [CONTENT[:60_000]] * 2
    server.close()


async def test_a_bug_ends_only_its_packet(
    server: TftpServer, peer: UdpPeer, admission: Admission, caplog: pytest.LogCaptureFixture
) -> None:
    admission.decision = RuntimeError("a fault")
    peer.send(rrq("file"))
    while not caplog.records:
        await asyncio.sleep(0)
    assert caplog.records[0].levelno == logging.ERROR
    assert peer.quiet
    admission.decision = MAC
    assert await serves(server)


async def test_an_event_that_cannot_be_recorded_stops_nothing(
    root: Path, admission: Admission, caplog: pytest.LogCaptureFixture
) -> None:
    def emit(event: object) -> None:
        raise RuntimeError(event)

    server = TftpServer(LOOPBACK, files(root), admit=admission, emit=emit, port=0)
    server.open()
    assert await serves(server)
    server.close()
    assert "could not be recorded" in caplog.text


async def test_drain_lets_transfers_finish(
    server: TftpServer, peer: UdpPeer, events: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draining, "STILL_AFTER", 60)
    await peer.ask(rrq("small"))
    stopping = asyncio.create_task(server.drain(60))
    await asyncio.sleep(0)
    with UdpPeer(server.port) as late:
        late.send(rrq("small"))
        assert (await events.next(Ignored)).reason == Reason.STOPPING
        assert late.quiet
    assert not stopping.done()
    peer.send(ack(1))
    await asyncio.wait_for(stopping, 30)
    assert events.of(TransferServed)
    with UdpPeer(server.port) as probe:
        probe.socket.connect(probe.server)
        probe.socket.send(rrq("small"))
        with pytest.raises(ConnectionRefusedError):
            await asyncio.get_running_loop().sock_recv(probe.socket, 1)


async def test_drain_ends_in_time(server: TftpServer, peer: UdpPeer, events: EventLog) -> None:
    before = len(os.listdir("/proc/self/fd"))
    await peer.ask(rrq("file"))
    await server.drain(0.05)
    assert await events.next(TransferFailed) == TransferFailed(MAC, "tftp", "file", 0, "the server stopped")
    server.close()
    assert len(os.listdir("/proc/self/fd")) == before - 2, "the sockets and the file are closed"


async def test_drain_does_not_wait_for_a_client_that_is_gone(
    server: TftpServer, peer: UdpPeer, events: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draining, "STILL_AFTER", 0.3)
    await peer.ask(rrq("file"))
    await asyncio.wait_for(server.drain(3600), 60)
    assert (await events.next(TransferFailed)).why == "the server stopped"


async def test_drain_without_transfers_returns_at_once(server: TftpServer) -> None:
    await asyncio.wait_for(server.drain(60), 30)


async def test_a_port_in_use_is_named(server: TftpServer, root: Path, events: EventLog, admission: Admission) -> None:
    second = TftpServer(LOOPBACK, files(root), admit=admission, emit=events, port=server.port)
    with pytest.raises(BindError) as caught:
        second.open()
    assert (caught.value.protocol, caught.value.port) == ("udp", server.port)
