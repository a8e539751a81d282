"""Fingerprints of firmware: the same from boot to boot, and safe to show on a terminal."""

import pytest

from services.dhcp import packet
from services.dhcp.fingerprint import fingerprint
from services.dhcp.message import Message
from tests.captures import all_captures, datagrams
from tests.fakes.dhcp_client import DISCOVER, firmware, message

MAC = bytes.fromhex("525400aabb01")


def of(options: list[tuple[int, bytes]], mac: bytes = MAC, xid: int = 1, secs: int = 0) -> str:
    found = packet.decode(message(DISCOVER, mac, options, xid=xid, secs=secs))
    assert isinstance(found, Message)
    return fingerprint(found)


def test_it_has_the_maker_the_class_the_architecture_and_the_user_class() -> None:
    assert of(firmware(7, undi="003010")) == "52:54:00 PXEClient:Arch:00007:UNDI:003010 7"
    assert of([(93, b"\0\x07\0\x09"), (60, b"PXEClient"), (77, b"gPXE")]) == "52:54:00 PXEClient 7,9 gPXE"


def test_another_boot_or_another_pc_of_the_maker_has_the_same_one() -> None:
    one = of(firmware(0))
    assert one == of(firmware(0), bytes.fromhex("525400000009"), xid=77, secs=28)
    assert one != of(firmware(0), bytes.fromhex("001122aabb01"))
    assert one != of(firmware(0, undi="003016"))


@pytest.mark.parametrize("name", all_captures())
def test_each_program_in_a_capture_has_exactly_one(name: str) -> None:
    found = set()
    for datagram in datagrams(name, 67):
        read = packet.decode(datagram.payload)
        if isinstance(read, Message) and read.message_type == DISCOVER and read.architectures:
            found.add(fingerprint(read))
    assert len(found) == {"bios-ipxe-virtio.pcap": 1, "uefi-http-proxy.pcap": 2, "uefi-pxe-edk2-head.pcap": 1}[name]


def test_a_hostile_class_does_no_harm_to_the_terminal() -> None:
    found = of([(93, b"\0\x07" * 100), (60, b"PXEClient\x1b[2J \n" + b"x" * 200), (77, b"a\0b")])
    assert found.isprintable()
    assert found.isascii()
    assert len(found) < 250
