"""Answers of DHCP servers as packets; the wire is in tests/netns/test_doctor.py."""

from ipaddress import IPv4Address

import pytest

from services.ethernet import MacAddress
from services.probe.firmware import Agent
from services.probe.server_questions import HeardServer, read_packet
from tests.fakes.dhcp_client import OFFER, REQUEST, message

MAC = MacAddress.parse("02:00:00:00:00:01")
QUESTIONS = {0x1234: (Agent.UEFI, MAC)}


def packet(datagram: bytes, options: bytes = b"") -> bytes:
    header = bytes([0x45 + len(options) // 4, 0]) + bytes(10) + IPv4Address("10.77.0.2").packed + b"\xff" * 4
    return header + options + bytes(8) + datagram


def offer(mac: MacAddress = MAC, xid: int = 0x1234, kind: int = OFFER, op: int = 2) -> bytes:
    return bytes([op]) + message(kind, bytes(mac), [(54, bytes(4))], xid=xid)[1:]


@pytest.mark.parametrize("options", [b"", bytes(8)])
def test_an_offer_to_us(options: bytes) -> None:
    heard = read_packet(packet(offer(), options), QUESTIONS)
    assert isinstance(heard, HeardServer)
    assert (heard.source, heard.asked_as, heard.offer.mac) == (IPv4Address("10.77.0.2"), Agent.UEFI, MAC)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x4f",
        packet(b""),
        packet(offer(xid=0x1235)),
        packet(offer(MacAddress.parse("02:00:00:00:00:02"))),
        packet(offer(kind=REQUEST)),
        packet(offer(op=1)),
        packet(offer())[:200],
    ],
)
def test_what_is_no_offer_to_us(data: bytes) -> None:
    assert read_packet(data, QUESTIONS) is None
