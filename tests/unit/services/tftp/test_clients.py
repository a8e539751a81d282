"""Real clients and scripted firmware read files; strangers, malformed packets and odd names get what they should."""

import asyncio
import os
from pathlib import Path

import pytest
from tftpy import TftpClient

from services.decision import Ignore, Reason
from services.events import Ignored, TransferProgressed, TransferServed
from services.tftp.packet import Ack, Error, ReadRequest, decode
from services.tftp.server import TftpServer
from services.tftp.transfer import negotiate
from tests.captures import datagrams
from tests.fakes.event_log import EventLog
from tests.fakes.tftp_peer import Reader, UdpPeer, ack, data, error, oack, rrq
from tests.unit.debian import need
from tests.unit.services.tftp.conftest import CONTENT, EDK2_ABORT, LOOPBACK, MAC, Admission, serves


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
    need(command[0])
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


@pytest.mark.parametrize("name", ["autoexec.ipxe", "525400aabbcc/autoexec.ipxe"])
async def test_ipxe_gets_the_script_that_it_looks_for_beside_itself(
    server: TftpServer, peer: UdpPeer, events: EventLog, name: str
) -> None:
    content = f"begin of {MAC}\n".encode()
    assert await peer.fetch(rrq(name, blksize=1432, tsize=0), Reader(1432)) == content
    served = await events.next(TransferServed)
    assert (served.path, served.size) == ("autoexec.ipxe", len(content))


async def test_grub_asks_with_a_leading_slash(server: TftpServer, peer: UdpPeer, admission: Admission) -> None:
    request = rrq("/file", blksize=1024, tsize=0)
    assert await peer.fetch(request, Reader(1024)) == CONTENT
    assert admission.asked == [(None, LOOPBACK)]


async def test_options_in_any_case(peer: UdpPeer) -> None:
    assert oack(await peer.ask(rrq("small", TSIZE=0, BlkSize=1000, unknown=1))) == {"tsize": "5", "blksize": "1000"}


async def test_netascii_gets_the_bytes(root: Path, peer: UdpPeer) -> None:
    (root / "lines").write_bytes(b"a\nb\r\nc\r\0")
    assert data(await peer.ask(rrq("lines", "NETASCII"))) == (1, b"a\nb\r\nc\r\0")


def test_the_captured_conversation() -> None:
    """What EDK2 sent to dnsmasq, and what dnsmasq granted (it does not know windowsize)."""
    probe, abort, request, *acks = (
        decode(packet.payload) for packet in datagrams("uefi-pxe-edk2-head.pcap") if 1829 <= packet.source_port <= 1840
    )
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
    assert await events.next(Ignored) == Ignored("tftp", str(MAC), Reason.MAC_MISMATCH, "file", "127.0.0.1")
    assert peer.quiet


@pytest.mark.parametrize(
    "packet",
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
async def test_no_single_packet_stops_the_server(server: TftpServer, peer: UdpPeer, packet: bytes) -> None:
    peer.send(packet)
    assert await serves(server)


async def test_a_garbled_name_is_not_found(peer: UdpPeer) -> None:
    """shim asks for such names (shim#696) and waits for an answer."""
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
async def test_nothing_outside_the_root_is_served(root: Path, peer: UdpPeer, events: EventLog, name: str) -> None:
    (root / "dir").mkdir()
    (root / "link").symlink_to("../secret")
    (root / "up").symlink_to("..")
    assert error(await peer.ask(rrq(name))) == (2, "path outside the boot root")
    assert (await events.next(Ignored)).reason == Reason.OUTSIDE_ROOT


@pytest.mark.parametrize(
    "name", ["missing", "525400aabbcc/missing", "525400aabbcc", "", "dir", "%2e%2e/secret", "fifo"]
)
async def test_what_is_not_a_file_is_not_found(root: Path, peer: UdpPeer, events: EventLog, name: str) -> None:
    (root / "dir").mkdir()
    os.mkfifo(root / "fifo")
    assert error(await peer.ask(rrq(name))) == (1, "file not found")
    assert (await events.next(Ignored)).reason == Reason.NO_FILE
