"""The advertisement as bytes on the wire, and the request for it."""

import pytest
from scapy.layers.inet6 import ICMPv6ND_RA, IPv6
from scapy.utils6 import in6_mactoifaceid

from services.decision import Ignore, Reason
from services.ethernet import MacAddress
from services.ipv6 import no_router

PC = MacAddress.parse("52:54:00:aa:bb:01")
GOLDEN = (
    "60000000 0010 3a ff"  # version 6, 16 bytes of ICMPv6, hop limit 255
    "fe80000000000000 0000000000006e72"
    "fe80000000000000 505400fffeaabb01"
    "86 00 0341"  # router advertisement and its checksum
    "00 00 0000"  # no hop limit; neither M nor O; no default router
    "00000000 00000000"  # no reachable time, no retransmission time; no options
)


def test_the_packet_is_that_of_rfc_4861() -> None:
    assert no_router.advertisement(PC) == bytes.fromhex(GOLDEN)


@pytest.mark.parametrize("mac", ["52:54:00:aa:bb:01", "00:00:00:00:00:00", "fe:ff:ff:ff:ff:ff", "00:1b:21:3c:4d:5e"])
def test_another_codec_makes_the_same_packet(mac: str) -> None:
    client = MacAddress.parse(mac)
    receiver = f"fe80::{in6_mactoifaceid(mac)}"
    fields = {"chlim": 0, "M": 0, "O": 0, "prf": 0, "routerlifetime": 0, "reachabletime": 0, "retranstimer": 0}
    packet = IPv6(src="fe80::6e72", dst=receiver, hlim=255) / ICMPv6ND_RA(**fields)
    assert no_router.advertisement(client) == bytes(packet)


def test_a_request_is_read_as_it_was_written() -> None:
    assert no_router.read_request(no_router.request("enp0s31f6", PC)) == ("enp0s31f6", PC)
    assert no_router.read_request(no_router.request("fifteen-letters", PC)) == ("fifteen-letters", PC)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(PC),
        bytes(PC)[:5],
        bytes(PC) + b"sixteen-letters-",
        bytes(PC) + b"lan0\0",
        bytes(PC) + b"\xff\xfe",
        bytes.fromhex("333300000001") + b"lan0",
        bytes.fromhex("ffffffffffff") + b"lan0",
    ],
)
def test_what_names_no_interface_or_not_one_pc_is_no_request(data: bytes) -> None:
    assert no_router.read_request(data) == Ignore(Reason.MALFORMED)
