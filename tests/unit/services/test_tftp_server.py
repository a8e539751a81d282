"""The TFTP server on a real socket, against real clients and scripted firmware."""

import asyncio
import errno
import logging
import os
import random
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from tftpy import TftpClient

from services.decision import Ignore, Reason
from services.ethernet import MacAddress
from services.events import Ignored, TransferFailed, TransferProgressed, TransferServed
from services.sockets import BindError
from services.tftp import server as tftp_server
from services.tftp.packet import Ack, Error, ReadRequest, decode
from services.tftp.server import TftpServer
from services.tftp.transfer import negotiate
from tests.fakes.event_log import EventLog
from tests.fakes.tftp_peer import Reader, UdpPeer, ack, data, error, oack, rrq

MAC = MacAddress.parse("52:54:00:aa:bb:cc")
LOOPBACK = IPv4Address("127.0.0.1")
CONTENT = random.Random(1).randbytes(300_007)
CAPTURE = Path(__file__).parents[2] / "captures" / "uefi-pxe-edk2-head.pcap"
EDK2_ABORT = b"\0\5\0\x08User aborted the transfer\0"


class Admission:
    """Admits everybody as MAC, until it is told otherwise."""

    def __init__(self) -> None:
        self.decision: MacAddress | Ignore | Exception = MAC
        self.asked: list[tuple[MacAddress | None, IPv4Address]] = []

    def __call__(self, claimed: MacAddress | None, peer: IPv4Address) -> MacAddress | Ignore:
        self.asked.append((claimed, peer))
        if isinstance(self.decision, Exception):
            raise self.decision
        return self.decision


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    (root / "file").write_bytes(CONTENT)
    (root / "small").write_bytes(b"small")
    (tmp_path / "secret").write_bytes(b"secret")
    return root


@pytest.fixture
def events() -> EventLog:
    return EventLog()


@pytest.fixture
def admission() -> Admission:
    return Admission()


@pytest.fixture
async def server(root: Path, events: EventLog, admission: Admission) -> AsyncIterator[TftpServer]:
    server = TftpServer(LOOPBACK, root, admit=admission, emit=events, port=0)
    server.open()
    yield server
    server.close()


@pytest.fixture
def peer(server: TftpServer) -> Iterator[UdpPeer]:
    with UdpPeer(server.port) as peer:
        yield peer


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """No retransmission within a test, however busy the machine is."""
    for name in ("FIRST_WAIT", "SHORTEST_WAIT"):
        monkeypatch.setattr(f"services.tftp.transfer.{name}", 5.0)


async def serves(server: TftpServer) -> bool:
    """Whether the server still gives a new client its file."""
    with UdpPeer(server.port) as peer:
        return await peer.fetch(rrq("small"), Reader()) == b"small"


@pytest.mark.parametrize(
    "options", [{}, {"blksize": 1468}, {"blksize": 8192, "tsize": 0}], ids=["plain", "1468", "8192"]
)
async def test_tftpy_reads(server: TftpServer, events: EventLog, tmp_path: Path, options: dict[str, int]) -> None:
    client = TftpClient("127.0.0.1", server.port, options)
    await asyncio.to_thread(client.download, "525400aabbcc/file", str(tmp_path / "got"))
    assert (tmp_path / "got").read_bytes() == CONTENT
    served = await events.next(TransferServed)
    assert (served.mac, served.service, served.path, served.size) == (MAC, "tftp", "file", len(CONTENT))


@pytest.mark.parametrize(
    "command",
    [
        ("tftp", "127.0.0.1", "-m", "binary", "{port}", "-c", "get", "525400aabbcc/file", "{out}"),
        ("curl", "--silent", "--show-error", "--output", "{out}", "tftp://127.0.0.1:{port}/525400aabbcc/file"),
        ("curl", "--silent", "--tftp-blksize", "1468", "--output", "{out}", "tftp://127.0.0.1:{port}//file"),
        ("curl", "--silent", "--tftp-no-options", "--output", "{out}", "tftp://127.0.0.1:{port}/file"),
    ],
    ids=["tftp-hpa", "curl", "curl-1468", "curl-no-options"],
)
async def test_real_clients_read(
    server: TftpServer, events: EventLog, tmp_path: Path, command: tuple[str, ...]
) -> None:
    arguments = [word.format(port=server.port, out=tmp_path / "got") for word in command]
    process = await asyncio.create_subprocess_exec(*arguments)
    assert await process.wait() == 0
    assert (tmp_path / "got").read_bytes() == CONTENT
    await events.next(TransferServed)


async def test_edk2(server: TftpServer, peer: UdpPeer, events: EventLog) -> None:
    """A size probe that ends in ERROR 8, then the transfer from the next port, as captured."""
    probe = rrq("525400aabbcc/file", tsize=0, blksize=1468, windowsize=4)
    assert oack(await peer.ask(probe)) == {"tsize": str(len(CONTENT)), "blksize": "1468", "windowsize": "4"}
    peer.send(EDK2_ABORT)
    with UdpPeer(server.port) as second:
        request = rrq("525400aabbcc/file", blksize=1468, windowsize=4)
        assert await second.fetch(request, Reader(1468, 4)) == CONTENT
    await events.next(TransferServed)
    assert [type(event) for event in events.seen] == [TransferProgressed, TransferServed]
    assert peer.quiet


async def test_ipxe(server: TftpServer, peer: UdpPeer, events: EventLog, admission: Admission) -> None:
    assert oack(await peer.ask(rrq("525400aabbcc/file", blksize=1432, tsize=0))) == {
        "blksize": "1432",
        "tsize": str(len(CONTENT)),
    }
    reader = Reader(1432)
    peer.send(ack(0))
    while not reader.done:
        peer.send(reader.answer(await peer.receive()) or b"")
    assert bytes(reader.content) == CONTENT
    await events.next(TransferServed)
    assert admission.asked == [(MAC, LOOPBACK)]


async def test_grub_asks_with_a_leading_slash(server: TftpServer, peer: UdpPeer, admission: Admission) -> None:
    request = rrq("/file", blksize=1024, tsize=0)
    assert await peer.fetch(request, Reader(1024)) == CONTENT
    assert admission.asked == [(None, LOOPBACK)]


async def test_options_in_any_case(peer: UdpPeer) -> None:
    assert oack(await peer.ask(rrq("small", TSIZE=0, BlkSize=1000, unknown=1))) == {"tsize": "5", "blksize": "1000"}


async def test_netascii_gets_the_octets(root: Path, peer: UdpPeer) -> None:
    (root / "lines").write_bytes(b"a\nb\r\nc\r\0")
    assert data(await peer.ask(rrq("lines", "NETASCII"))) == (1, b"a\nb\r\nc\r\0")


def captured_requests() -> list[bytes]:
    """UDP payloads from the client to the server's TFTP ports in the capture of EDK2 and dnsmasq."""
    raw, payloads, at = CAPTURE.read_bytes(), [], 24
    assert raw[:4] == b"\xd4\xc3\xb2\xa1"
    while at < len(raw):
        (length,) = struct.unpack_from("<I", raw, at + 8)
        frame = raw[at + 16 : at + 16 + length]
        at += 16 + length
        if frame[12:14] == b"\x08\x00" and frame[23] == 17:
            ip = 14 + (frame[14] & 15) * 4
            source, _, size = struct.unpack_from("!HHH", frame, ip)
            if 1829 <= source <= 1840:
                payloads.append(frame[ip + 8 : ip + size])
    return payloads


def test_the_captured_conversation() -> None:
    """What EDK2 sent to dnsmasq, and what dnsmasq granted, which knows no windowsize."""
    probe, abort, request, *acks = (decode(payload) for payload in captured_requests())
    assert probe == ReadRequest("shimx64.efi", "octet", {"tsize": "0", "blksize": "1468", "windowsize": "4"})
    assert abort == Error(8, "User aborted the transfer")
    assert request == ReadRequest("shimx64.efi", "octet", {"blksize": "1468", "windowsize": "4"})
    assert acks == [Ack(block) for block in range(len(acks))]
    assert len(acks) > 10
    assert isinstance(probe, ReadRequest)
    granted = dict(negotiate(probe.options, 1048504).granted or {})
    assert granted.pop("windowsize") == "4"
    assert granted == {"blksize": "1468", "tsize": "1048504"}


async def test_block_numbers_roll_over(server: TftpServer, root: Path, peer: UdpPeer, events: EventLog) -> None:
    with (root / "sparse").open("wb") as file:
        file.seek(65_600 * 8)
        file.write(b"end")
    content = await peer.fetch(rrq("sparse", blksize=8, windowsize=64), Reader(8, 64))
    assert content == (root / "sparse").read_bytes()
    assert (await events.next(TransferServed)).size == len(content)


async def test_many_clients_at_once(server: TftpServer, events: EventLog) -> None:
    async def fetch(number: int) -> bytes:
        with UdpPeer(server.port, f"127.0.1.{number}") as peer:
            return await peer.fetch(rrq("file", blksize=1468, windowsize=8), Reader(1468, 8))

    assert set(await asyncio.gather(*(fetch(number) for number in range(1, 51)))) == {CONTENT}
    while len(events.of(TransferServed)) < 50:
        await events.next(TransferServed)


@pytest.mark.parametrize("request_", [rrq("file"), rrq("missing"), rrq("../secret"), b"\0\2file\0octet\0"])
async def test_a_stranger_gets_not_one_byte(
    server: TftpServer, peer: UdpPeer, events: EventLog, admission: Admission, request_: bytes
) -> None:
    admission.decision = Ignore(Reason.NOT_ALLOWED)
    peer.send(request_)
    event = await events.next(Ignored)
    assert (event.service, event.client, event.reason) == ("tftp", "127.0.0.1", Reason.NOT_ALLOWED)
    assert peer.quiet


async def test_a_stranger_is_named_by_the_mac_it_claims(peer: UdpPeer, events: EventLog, admission: Admission) -> None:
    admission.decision = Ignore(Reason.MAC_MISMATCH)
    peer.send(rrq("525400aabbcc/file"))
    assert await events.next(Ignored) == Ignored("tftp", str(MAC), Reason.MAC_MISMATCH, "file")
    assert peer.quiet


@pytest.mark.parametrize(
    "killer",
    [
        rrq(b"caf\xc3\xa9\xff"),
        rrq(b"\x80" * 300),
        rrq("x" * 400),
        rrq("a\x01b"),
        rrq("file", blksize="\ud7ff"),
        rrq("file", "mail"),
        rrq("", ""),
        b"\0\1",
        b"\0\4",
        b"\0\5\0",
        b"\0\6\0\0",
        b"",
        b"\xff" * 2000,
        b"\0\3\0\1data for nobody",
        ack(7),
        EDK2_ABORT,
    ],
)
async def test_one_packet_killers(server: TftpServer, peer: UdpPeer, killer: bytes) -> None:
    peer.send(killer)
    assert await serves(server)


async def test_a_garbled_name_is_not_found(peer: UdpPeer) -> None:
    """shim asks for such names (shim#696): it has to hear an answer, or it waits."""
    assert error(await peer.ask(rrq(b"525400aabbcc/\xf0\x9f\x92\xa9.efi"))) == (1, "file not found")


async def test_an_unknown_mode_is_refused(peer: UdpPeer) -> None:
    assert error(await peer.ask(rrq("file", "mail"))) == (4, "unknown transfer mode")


async def test_writes_are_refused_and_write_nothing(root: Path, peer: UdpPeer, events: EventLog) -> None:
    for name in (b"525400aabbcc/small", b"new"):
        assert error(await peer.ask(b"\0\2" + name + b"\0octet\0"))[0] == 2
    peer.send(b"\0\3\0\1overwritten")
    assert (await events.next(Ignored)).reason == Reason.READ_ONLY
    assert (root / "small").read_bytes() == b"small"
    assert not (root / "new").exists()


@pytest.mark.parametrize(
    "name",
    [
        "../secret",
        "525400aabbcc/../secret",
        "525400aabbcc\\..\\secret",
        "/../../../../etc/passwd",
        "dir/../../secret",
        "link",
        "up/secret",
        "525400aabbcc//..//..//etc//passwd",
    ],
)
async def test_nothing_outside_the_root(root: Path, peer: UdpPeer, events: EventLog, name: str) -> None:
    (root / "dir").mkdir()
    (root / "link").symlink_to("../secret")
    (root / "up").symlink_to("..")
    assert error(await peer.ask(rrq(name))) == (2, "path outside the boot root")
    assert (await events.next(Ignored)).reason == Reason.OUTSIDE_ROOT


@pytest.mark.parametrize(
    "name", ["missing", "525400aabbcc/missing", "525400aabbcc", "", "dir", "%2e%2e/secret", "fifo"]
)
async def test_what_is_no_file_is_not_found(root: Path, peer: UdpPeer, events: EventLog, name: str) -> None:
    (root / "dir").mkdir()
    os.mkfifo(root / "fifo")
    assert error(await peer.ask(rrq(name))) == (1, "file not found")
    assert (await events.next(Ignored)).reason == Reason.NO_FILE


async def test_a_lost_packet_is_sent_again_soon(peer: UdpPeer) -> None:
    first = await peer.ask(rrq("file"))
    second = await peer.ask(ack(1))
    assert (data(first)[0], data(second)[0]) == (1, 2)
    assert await peer.receive(seconds=0.5) == second


async def test_a_doubled_ack_sends_nothing(peer: UdpPeer, patience: None) -> None:
    await peer.ask(rrq("file"))
    await peer.ask(ack(1))
    peer.send(ack(1))
    peer.send(ack(1))
    assert data(await peer.ask(ack(2)))[0] == 3
    assert peer.quiet


async def test_a_doubled_request_does_not_restart(peer: UdpPeer, events: EventLog, patience: None) -> None:
    request = rrq("file", blksize=1468)
    assert await peer.ask(request) == await peer.ask(request)
    assert data(await peer.ask(ack(0)))[0] == 1
    peer.send(request)
    assert data(await peer.ask(ack(1)))[0] == 2
    assert peer.quiet
    assert len(events.of(TransferProgressed)) == 1


async def test_another_request_from_the_same_port_replaces(peer: UdpPeer, events: EventLog) -> None:
    await peer.ask(rrq("file"))
    assert data(await peer.ask(rrq("small"))) == (1, b"small")
    assert await events.next(TransferFailed) == TransferFailed(MAC, "tftp", "file", 0, "the client asked anew")


async def test_a_reset_pc_may_ask_from_the_same_port(
    peer: UdpPeer, events: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    await peer.ask(rrq("file"))
    assert data(await peer.ask(ack(1)))[0] == 2
    monkeypatch.setattr("services.tftp.transfer.RESTART_AFTER", 0.0)
    assert data(await peer.ask(rrq("file")))[0] == 1


async def test_the_client_may_give_up(server: TftpServer, peer: UdpPeer, events: EventLog) -> None:
    await peer.ask(rrq("file"))
    await peer.ask(ack(1))
    peer.send(b"\0\5\0\3disk full\0")
    failed = await events.next(TransferFailed)
    assert (failed.sent, failed.why) == (512, "the client aborted with error 3: disk full")


async def test_a_silent_client_is_given_up(peer: UdpPeer, events: EventLog, monkeypatch: pytest.MonkeyPatch) -> None:
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


async def test_progress_is_told_once_in_a_while(
    peer: UdpPeer, events: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tftp_server, "_REPORT_EVERY", 0.03)
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
    await peer.ask(rrq("file"))
    os.truncate(root / "file", 600)
    assert error(await peer.ask(ack(1))) == (0, "the file cannot be read any more")
    assert await serves(server)


async def test_the_number_of_transfers_is_bounded(
    server: TftpServer, events: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tftp_server, "MOST_SESSIONS", 3)
    monkeypatch.setattr(tftp_server, "MOST_SESSIONS_A_CLIENT", 2)
    sources = ["127.0.0.1", "127.0.0.1", "127.0.0.1", "127.0.0.2", "127.0.0.3"]
    peers = [UdpPeer(server.port, source) for source in sources]
    answered = []
    for one in peers:
        one.send(rrq("file"))
        event = await events.next(object)
        answered.append(isinstance(event, TransferProgressed))
        assert one.quiet is not answered[-1]
    assert answered == [True, True, False, True, False]
    assert {event.reason for event in events.of(Ignored)} == {Reason.TOO_MANY}
    peers[0].send(b"\0\5\0\0gone\0")
    await events.next(TransferFailed)
    assert data(await peers[4].ask(rrq("file")))[0] == 1
    for one in peers:
        one.socket.close()


async def test_a_client_that_vanishes_harms_nobody(server: TftpServer, events: EventLog) -> None:
    """Its port is closed, so each packet for it comes back as an ICMP error."""
    with UdpPeer(server.port) as gone:
        await gone.ask(rrq("file", blksize=1468, windowsize=64))
        gone.send(ack(0))
    assert await serves(server)


class FullSocket(socket.socket):
    """Has no room for every third packet, and the device queue is full for every seventh."""

    sends = 0

    def sendto(self, *arguments: Any) -> int:
        self.sends += 1
        if self.sends % 3 == 0:
            raise BlockingIOError(errno.EAGAIN, "full")
        if self.sends % 7 == 0:
            raise OSError(errno.ENOBUFS, "no buffer")
        return super().sendto(*arguments)


async def test_a_full_socket_only_delays(
    root: Path, events: EventLog, admission: Admission, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bind(address: IPv4Address, port: int) -> socket.socket:
        full = FullSocket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        full.bind((str(address), port))
        return full

    monkeypatch.setattr(tftp_server, "bind_udp", bind)
    monkeypatch.setattr("services.tftp.transfer.SHORTEST_WAIT", 0.001)
    (root / "file").write_bytes(CONTENT[:60_000])
    server = TftpServer(LOOPBACK, root, admit=admission, emit=events, port=0)
    server.open()
    with UdpPeer(server.port) as one, UdpPeer(server.port, "127.0.0.2") as two:
        fetched = await asyncio.gather(
            *(peer.fetch(rrq("file", blksize=512, windowsize=16), Reader(512, 16)) for peer in (one, two))
        )
    assert fetched == [CONTENT[:60_000]] * 2
    server.close()


async def test_a_fault_ends_only_its_packet(
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


async def test_events_that_cannot_be_recorded_stop_nothing(
    root: Path, admission: Admission, caplog: pytest.LogCaptureFixture
) -> None:
    def emit(event: object) -> None:
        raise RuntimeError(event)

    server = TftpServer(LOOPBACK, root, admit=admission, emit=emit, port=0)
    server.open()
    assert await serves(server)
    server.close()
    assert "could not be recorded" in caplog.text


async def test_drain_lets_transfers_finish(server: TftpServer, peer: UdpPeer, events: EventLog) -> None:
    await peer.ask(rrq("small"))
    draining = asyncio.create_task(server.drain(5))
    await asyncio.sleep(0)
    with UdpPeer(server.port) as late:
        late.send(rrq("small"))
        assert (await events.next(Ignored)).reason == Reason.STOPPING
        assert late.quiet
    assert not draining.done()
    peer.send(ack(1))
    await asyncio.wait_for(draining, 1)
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
    assert len(os.listdir("/proc/self/fd")) == before - 1, "the socket and the file are closed"


async def test_drain_with_nothing_under_way_is_instant(server: TftpServer) -> None:
    await asyncio.wait_for(server.drain(60), 1)


async def test_a_taken_port_is_named(server: TftpServer, root: Path, events: EventLog, admission: Admission) -> None:
    second = TftpServer(LOOPBACK, root, admit=admission, emit=events, port=server.port)
    with pytest.raises(BindError) as caught:
        second.open()
    assert (caught.value.protocol, caught.value.port) == ("udp", server.port)
