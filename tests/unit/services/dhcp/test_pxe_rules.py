"""Edges of the proxyDHCP rules; the conversations themselves are in tests/transcripts."""

from ipaddress import IPv4Address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.decision import Ignore, Reason
from services.dhcp import packet, pxe_rules
from services.dhcp.message import Arrival, Message, Reply
from services.dhcp.plan import BootPlan
from tests.fakes.dhcp_client import DISCOVER, REQUEST, Answer, firmware, message
from tests.fakes.pxe_answers import respond

MAC = bytes.fromhex("525400aabb01")
BOX = IPv4Address("10.77.0.1")
BROADCAST = Arrival(IPv4Address(0), 68, 67)
UNICAST = Arrival(IPv4Address("10.77.0.134"), 4011, 4011)


def read(datagram: bytes) -> Message:
    found = packet.decode(datagram)
    assert isinstance(found, Message)
    return found


def offer(boot_file: str, datagram: bytes | None = None) -> Reply:
    found = respond(read(datagram or message(DISCOVER, MAC, firmware(7))), BootPlan(boot_file), BOX, BROADCAST)
    assert isinstance(found, Reply)
    return found


def test_a_boot_file_that_just_fits_is_in_the_header_too() -> None:
    answer = Answer.parse(packet.encode(offer("u" * 127)))
    assert answer.file == "u" * 127
    assert answer.options[67] == b"u" * 127 + b"\0"


def test_a_longer_one_is_only_in_option_67() -> None:
    answer = Answer.parse(packet.encode(offer("u" * 128)))
    assert answer.file == ""
    assert answer.options[67] == b"u" * 128 + b"\0"


def test_no_lease_options_are_ever_sent() -> None:
    assert not {1, 3, 6, 51, 58, 59} & {code for code, _ in offer("x").options}


def test_a_uuid_too_long_for_one_option_is_not_echoed() -> None:
    halves = [(97, b"u" * 200), (97, b"u" * 200)]
    options = [each for each in firmware(7) if each[0] != 97]
    assert offer("x", message(DISCOVER, MAC, [*options, *halves])).option(97) == b""


@given(st.binary(max_size=250))
@settings(max_examples=200, deadline=None)
def test_no_vendor_options_make_the_answer_fail(vendor_options: bytes) -> None:
    asked = message(REQUEST, MAC, [*firmware(0), (43, vendor_options)], ciaddr="10.77.0.134")
    reply = respond(read(asked), BootPlan("x"), BOX, UNICAST)
    assert isinstance(reply, Reply)
    echoed = Answer.parse(packet.encode(reply)).options[43]
    if echoed != b"\x06\x01\x08\xff":
        assert (echoed[:5], len(echoed)) == (b"\x06\x01\x08\x47\x04", 10)
        left = iter(vendor_options)
        assert all(byte in left for byte in echoed[5:9]), "its bytes in their order; it may have come in pieces"


@pytest.mark.parametrize(
    ("asked", "echoed"),
    [
        ("470400010000ff", "470400010000"),
        ("0000470400010000", "470400010000"),
        ("060108470400010000ff", "470400010000"),
        ("ff470400010000", ""),
        ("47020001", ""),
        ("4704000100", ""),
        ("47", ""),
    ],
)
def test_the_boot_item_is_found_among_other_sub_options(asked: str, echoed: str) -> None:
    datagram = message(REQUEST, MAC, [*firmware(0), (43, bytes.fromhex(asked))], ciaddr="10.77.0.134")
    reply = respond(read(datagram), BootPlan("x"), BOX, UNICAST)
    assert isinstance(reply, Reply)
    assert reply.option(43).hex() == f"060108{echoed}ff"


def test_respond_refuses_for_the_same_reasons_as_classify() -> None:
    stranger = read(message(DISCOVER, MAC, firmware(10)))
    refusal = pxe_rules.classify(stranger, BROADCAST)
    assert isinstance(refusal, Ignore)
    assert respond(stranger, BootPlan("x"), BOX, BROADCAST) == refusal


@pytest.mark.parametrize(
    ("kind", "options", "arrival", "server"),
    [
        (REQUEST, [(54, bytes([10, 77, 0, 2]))], BROADCAST, IPv4Address("10.77.0.2")),
        (REQUEST, [], BROADCAST, Ignore(Reason.NOT_FOR_US)),
        (REQUEST, [(54, bytes(4))], BROADCAST, Ignore(Reason.NOT_FOR_US)),
        (REQUEST, [(54, bytes([10, 77, 0, 2]))], UNICAST, Ignore(Reason.NOT_FOR_US)),
        (DISCOVER, [(54, bytes([10, 77, 0, 2]))], BROADCAST, Ignore(Reason.NOT_FOR_US)),
    ],
)
def test_a_request_shows_all_servers_whose_lease_the_client_takes(
    kind: int, options: list[tuple[int, bytes]], arrival: Arrival, server: IPv4Address | Ignore
) -> None:
    assert pxe_rules.server_chosen(read(message(kind, MAC, options)), arrival) == server
