"""Replies written from a template are byte for byte those that scapy writes."""

from dataclasses import replace
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.dhcp import packet
from services.dhcp.message import MessageType, Option, Reply
from services.dhcp.reply_templates import MOST, ReplyTemplates
from services.ethernet import MacAddress

BOX = IPv4Address("10.77.0.1")

numbers = st.integers(0, 0xFFFFFFFF)
addresses = st.sampled_from([0, 0, 0x0A4D0005, 0xFFFFFFFF]).map(IPv4Address)
macs = st.one_of(st.integers(0, (1 << 48) - 1), st.integers(0x525400000000, 0x525400000003)).map(MacAddress)
names = st.sampled_from(["{}/snponly.efi", "snponly.efi", "{}/{}", "http://10.77.0.1/boot/{}/boot.ipxe", "x" * 100])
echoed = st.one_of(st.just(b""), st.binary(min_size=17, max_size=17), st.binary(min_size=1, max_size=40))


@st.composite
def replies(draw: st.DrawFn) -> Reply:
    """Replies as pxe_rules.py and lease_reply.py make them."""
    mac = draw(macs)
    name = draw(names).replace("{}", mac.bare).encode()
    vendor = draw(st.sampled_from([b"", b"\x06\x01\x08\xff", b"\x06\x01\x08" + mac.bare.encode()]))
    echo = [(int(code), draw(echoed)) for code in (Option.CLIENT_UUID, Option.RELAY_INFORMATION)]
    options = [
        (int(Option.MESSAGE_TYPE), bytes([draw(st.sampled_from([2, 5]))])),
        (int(Option.SERVER_ID), draw(st.sampled_from([BOX.packed, bytes([10, 88, 0, 1])]))),
        *([echo[0]] if echo[0][1] else []),
        *([(int(Option.VENDOR_OPTIONS), vendor)] if vendor else []),
        (int(Option.BOOT_FILE), name + b"\0"),
        *([echo[1]] if echo[1][1] else []),
    ]
    return Reply(
        message_type=MessageType.OFFER,
        xid=draw(numbers),
        flags=draw(st.sampled_from([0, 0x8000])),
        ciaddr=draw(addresses),
        siaddr=BOX,
        giaddr=draw(addresses),
        mac=mac,
        sname=draw(st.sampled_from([b"", b"10.77.0.1"])),
        file=name if len(name) < 128 else b"",
        options=tuple(options),
        destination=IPv4Address("255.255.255.255"),
        destination_port=68,
        yiaddr=draw(addresses),
    )


@given(st.lists(replies(), min_size=1, max_size=12))
def test_a_template_gives_what_scapy_writes(some: list[Reply]) -> None:
    templates = ReplyTemplates()
    for reply in some:
        assert templates.encode(reply) == packet.encode(reply)


@given(replies())
def test_a_value_that_does_not_fit_is_refused(reply: Reply) -> None:
    templates = ReplyTemplates()
    templates.encode(reply)
    for broken in (replace(reply, file=b"x" * 128), replace(reply, sname=b"x" * 64)):
        with pytest.raises(ValueError, match="holds at most"):
            templates.encode(broken)


def test_the_number_of_templates_is_bounded() -> None:
    templates = ReplyTemplates()
    for number in range(MOST + 10):
        file = f"file-{number}".encode()
        templates.encode(Reply(MessageType.OFFER, 1, 0, BOX, BOX, BOX, MacAddress(1), b"", file, (), BOX, 68))
    assert len(templates._known) == MOST
