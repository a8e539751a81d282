"""Capture files: formats, link types, several clients, and files that are not captures."""

import contextlib
import random
from pathlib import Path

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import ARP, CookedLinux, Dot1Q, Ether
from scapy.packet import Packet as ScapyPacket
from scapy.utils import wrpcap, wrpcapng

from services.ethernet import MacAddress
from services.probe import capture
from services.probe.message import DhcpPacket, HttpRequest, Reset, TftpBlock, TftpRequest
from tests.captures import all_captures
from tests.fakes.dhcp_client import DISCOVER, firmware, message

CAPTURES = Path(__file__).parents[3] / "captures"
FIRST, SECOND = MacAddress.parse("52:54:00:aa:bb:01"), MacAddress.parse("52:54:00:aa:bb:02")


def discover(mac: MacAddress) -> ScapyPacket:
    payload = message(DISCOVER, bytes(mac), firmware(0))
    return IP(src="0.0.0.0", dst="255.255.255.255") / UDP(sport=68, dport=67) / payload


def ether(mac: MacAddress) -> ScapyPacket:
    return Ether(src=str(mac), dst="ff:ff:ff:ff:ff:ff")


@pytest.mark.parametrize("write", [wrpcap, wrpcapng])
def test_both_formats_are_read_and_clients_kept_apart(tmp_path: Path, write: object) -> None:
    assert callable(write)
    file = tmp_path / "a.pcap"
    load = IP(src="10.0.0.9", dst="10.0.0.1") / UDP(sport=2000, dport=69) / b"\0\1file\0octet\0"
    block = IP(src="10.0.0.1", dst="10.0.0.9") / UDP(sport=5000, dport=2000) / b"\0\3\0\1abc"
    strange = IP(src="10.0.0.1", dst="10.0.0.9") / UDP(sport=5000, dport=2001) / b"\0\3\0\1abc"
    frames = [ether(FIRST) / discover(FIRST), ether(SECOND) / Dot1Q(vlan=7) / discover(SECOND), ether(FIRST) / ARP()]
    frames += [ether(FIRST) / load, ether(SECOND) / block, ether(SECOND) / strange]
    write(str(file), frames)
    clients = capture.read(file)
    assert list(clients) == [FIRST, SECOND]
    assert [type(packet.content) for packet in clients[FIRST]] == [DhcpPacket, TftpRequest, TftpBlock]
    assert [type(packet.content) for packet in clients[SECOND]] == [DhcpPacket]
    assert [packet.outgoing for packet in clients[FIRST]] == [True, True, False]
    assert all(capture.boots(packets) for packets in clients.values())


def test_http_and_resets(tmp_path: Path) -> None:
    file = tmp_path / "a.pcap"
    there, back = IP(src="10.0.0.9", dst="10.0.0.1"), IP(src="10.0.0.1", dst="10.0.0.9")
    frames = [
        ether(FIRST) / there / TCP(sport=3000, dport=80, flags="PA") / b"GET /x HTTP/1.1\r\n\r\n",
        ether(SECOND) / back / TCP(sport=80, dport=3000, flags="R"),
        ether(SECOND) / back / TCP(sport=443, dport=3001, flags="R"),
    ]
    wrpcap(str(file), frames)
    packets = capture.read(file)[FIRST]
    assert [packet.content for packet in packets] == [HttpRequest("GET", "/x"), Reset()]


def test_a_capture_of_any_interface(tmp_path: Path) -> None:
    file = tmp_path / "a.pcap"
    wrpcap(str(file), [CookedLinux(lladdrlen=6, src=bytes(FIRST) + b"\0\0", proto=0x800) / discover(FIRST)])
    assert list(capture.read(file)) == [FIRST]


def test_files_that_are_not_captures(tmp_path: Path) -> None:
    file = tmp_path / "a"
    for content in (b"", b"hello, world, this is text and no capture at all", bytes(100)):
        file.write_bytes(content)
        with pytest.raises(capture.CaptureError, match="is not a pcap or pcapng file"):
            capture.read(file)
    with pytest.raises(capture.CaptureError, match="No such file"):
        capture.read(tmp_path / "none")
    with pytest.raises(capture.CaptureError, match="Is a directory"):
        capture.read(tmp_path)
    wireless = bytearray((CAPTURES / all_captures()[0]).read_bytes())
    wireless[20] = 105
    file.write_bytes(wireless)
    with pytest.raises(capture.CaptureError, match="link type 105"):
        capture.read(file)


def test_a_broken_capture_gives_a_clear_error_or_what_could_be_read(tmp_path: Path) -> None:
    chance = random.Random(6)
    file = tmp_path / "a"
    whole = (CAPTURES / "bios-ipxe-virtio.pcap").read_bytes()
    pcapng = tmp_path / "b"
    wrpcapng(str(pcapng), [ether(FIRST) / discover(FIRST)] * 3)
    cooked = tmp_path / "c"
    wrpcap(str(cooked), [CookedLinux(lladdrlen=6, src=bytes(FIRST) + b"\0\0", proto=0x800) / discover(FIRST)] * 3)
    for start in (whole, pcapng.read_bytes(), cooked.read_bytes()) * 60:
        content = bytearray(start[: chance.randrange(len(start))])
        for _ in range(chance.randrange(20)):
            if content:
                content[chance.randrange(len(content))] = chance.randrange(256)
        file.write_bytes(content)
        with contextlib.suppress(capture.CaptureError):
            capture.read(file)


def test_the_address_of_a_relay_is_not_its_client_s(tmp_path: Path) -> None:
    file = tmp_path / "a.pcap"
    relayed = (
        IP(src="10.9.0.1", dst="10.0.0.1") / UDP(sport=67, dport=67) / message(DISCOVER, bytes(FIRST), firmware(0))
    )
    load = IP(src="10.9.0.1", dst="10.0.0.1") / UDP(sport=2000, dport=69) / b"\0\1file\0octet\0"
    wrpcap(str(file), [ether(SECOND) / relayed, ether(SECOND) / load])
    clients = capture.read(file)
    assert [type(packet.content) for packet in clients[FIRST]] == [DhcpPacket]
    assert [type(packet.content) for packet in clients[SECOND]] == [TftpRequest]
