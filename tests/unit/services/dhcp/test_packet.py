"""The DHCP codec: it reads tolerantly, writes strictly, and no bytes make it raise."""

import dataclasses
from collections.abc import Sequence
from ipaddress import IPv4Address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.dhcp import BOOTP

from services.decision import Ignore, Reason
from services.dhcp import packet
from services.dhcp.message import Message, MessageType, Reply
from services.ethernet import MacAddress
from tests.captures import all_captures, datagrams
from tests.fakes.dhcp_client import DISCOVER, INFORM, REQUEST, UUID, Answer, firmware, message

MAC = bytes.fromhex("525400aabb01")
CAPTURED = [each.payload for name in all_captures() for each in datagrams(name, 67, 68, 4011)]
REQUESTS = [datagram for datagram in CAPTURED if datagram[0] == 1]
MALFORMED = Ignore(Reason.MALFORMED)


def decoded(options: Sequence[tuple[int, bytes]], kind: int = DISCOVER) -> Message:
    found = packet.decode(message(kind, MAC, options))
    assert isinstance(found, Message)
    return found


def test_every_field_a_decision_needs_is_read() -> None:
    options = [
        (50, bytes([10, 77, 0, 134])),
        (54, bytes([10, 77, 0, 2])),
        (43, b"\x47\x04\x80\x01\x00\x00\xff"),
        (175, b"\x13\x01\x01"),
        (77, b"\x03lab\x04iPXE"),
    ]
    datagram = message(
        INFORM,
        MAC,
        [*firmware(7), *options],
        xid=0xFBAA7412,
        secs=9,
        flags=0x8000,
        ciaddr="10.77.0.9",
        giaddr="10.78.0.1",
    )
    assert packet.decode(datagram) == Message(
        message_type=MessageType.INFORM,
        xid=0xFBAA7412,
        secs=9,
        flags=0x8000,
        ciaddr=IPv4Address("10.77.0.9"),
        giaddr=IPv4Address("10.78.0.1"),
        mac=MacAddress.parse("52:54:00:aa:bb:01"),
        vendor_class="PXEClient:Arch:00007:UNDI:002001",
        architectures=(7,),
        user_classes=("lab", "iPXE"),
        ipxe_options=True,
        client_uuid=UUID,
        vendor_options=b"\x47\x04\x80\x01\x00\x00\xff",
        requested_address=IPv4Address("10.77.0.134"),
        server_id=IPv4Address("10.77.0.2"),
    )


LINK, OVERRIDE = bytes([5, 4, 10, 88, 0, 0]), bytes([11, 4, 10, 88, 0, 1])


@pytest.mark.parametrize(
    ("information", "link", "override"),
    [
        (b"\x01\x03far" + LINK + OVERRIDE, "10.88.0.0", "10.88.0.1"),
        (OVERRIDE + b"\x09\x00" + LINK, "10.88.0.0", "10.88.0.1"),
        (LINK, "10.88.0.0", None),
        (OVERRIDE, None, "10.88.0.1"),
        (LINK[:-1], None, None),
        (OVERRIDE + LINK[:-1], None, "10.88.0.1"),
        (b"\x05\x00" + OVERRIDE, None, "10.88.0.1"),
        (bytes([5, 5, 10, 88, 0, 0, 0]) + OVERRIDE, None, "10.88.0.1"),
        (bytes([5, 3, 10, 88, 0]), None, None),
        (LINK + LINK, None, None),
        (b"\x05\xff", None, None),
        (b"\x05", None, None),
        *(
            (bytes([5, 4, *nobody, 11, 4, *nobody]), None, None)
            for nobody in (bytes(4), b"\xff" * 4, b"\xe0\0\0\1", b"\x7f\0\0\1")
        ),
    ],
)
def test_what_a_relay_wants(information: bytes, link: str | None, override: str | None) -> None:
    """RFC 3527 and RFC 5107. What is malformed counts as absent, and only a relay may want it."""

    def wanted(giaddr: str) -> list[IPv4Address | None]:
        read = packet.decode(message(DISCOVER, MAC, [(82, information)], giaddr=giaddr))
        assert isinstance(read, Message)
        assert read.relay_information == information
        return [read.link, read.server_override]

    assert wanted("10.78.0.1") == [text and IPv4Address(text) for text in (link, override)]
    assert wanted("0.0.0.0") == [None, None]


def test_absent_options_are_empty() -> None:
    found = decoded([])
    assert (found.vendor_class, found.architectures, found.user_classes) == ("", (), ())
    assert (found.ipxe_options, found.client_uuid, found.vendor_options) == (False, b"", b"")
    assert (found.requested_address, found.server_id) == (None, None)


@pytest.mark.parametrize("datagram", REQUESTS)
def test_captured_requests_are_read(datagram: bytes) -> None:
    found = packet.decode(datagram)
    assert isinstance(found, Message)
    assert found.mac == packet.peek(datagram) == MacAddress.parse("52:54:00:aa:bb:01")
    assert found.message_type in (DISCOVER, REQUEST)
    assert found.vendor_class.startswith(("PXEClient", "HTTPClient", "Linux ipconfig"))


def test_an_option_in_several_pieces_is_joined() -> None:
    assert decoded([(60, b"PXECl"), (1, b"\0\0\0\0"), (60, b"ient:x")]).vendor_class == "PXEClient:x"


@pytest.mark.parametrize(
    "broken", [(54, b"\x0a\x4d"), (57, b"\x05"), (50, b""), (119, b"\xc0\x00\xc0\x02"), (53, b""), (81, b"")]
)
def test_an_unreadable_option_does_not_hide_those_behind_it(broken: tuple[int, bytes]) -> None:
    found = decoded([broken, *firmware(7), broken, (77, b"iPXE")])
    assert found.vendor_class == "PXEClient:Arch:00007:UNDI:002001"
    assert found.architectures == (7,)
    assert found.user_classes == ("iPXE",)


def test_bytes_behind_the_end_mark_are_not_read() -> None:
    found = packet.decode(message(DISCOVER, MAC, [(60, b"MSFT 5.0")]) + b"\x4d\x04iPXE\x3c\x03PXE")
    assert isinstance(found, Message)
    assert (found.vendor_class, found.user_classes) == ("MSFT 5.0", ())


def test_a_missing_end_mark_and_a_cut_option_lose_only_that_option() -> None:
    found = packet.decode(message(DISCOVER, MAC, firmware(0))[:-1] + b"\x4d\xc8iPXE")
    assert isinstance(found, Message)
    assert (found.architectures, found.user_classes) == ((0,), ())


def test_bootp_without_a_message_type_is_not_a_network_boot() -> None:
    datagram = message(DISCOVER, MAC)
    assert packet.decode(datagram[:240] + b"\xff" + bytes(60)) == Ignore(Reason.NOT_NETBOOT)


GOOD = message(DISCOVER, MAC, firmware(0))


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        GOOD[:240],
        b"\x02" + GOOD[1:],
        GOOD[:1] + b"\x20" + GOOD[2:],
        GOOD[:2] + b"\x10" + GOOD[3:],
        GOOD[:236] + b"\x63\x82\x53\x64" + GOOD[240:],
        GOOD.ljust(packet.MAX_DATAGRAM + 1, b"\0"),
    ],
    ids=["empty", "no options", "a reply", "InfiniBand", "a long address", "another cookie", "too long"],
)
def test_anything_but_a_request_of_an_ethernet_client_is_malformed(datagram: bytes) -> None:
    assert packet.peek(datagram) == MALFORMED
    assert packet.decode(datagram) == MALFORMED


def as_scapy_reads_it(datagram: bytes) -> tuple[object, ...]:
    """xid, secs, flags, ciaddr, giaddr, then the options that scapy leaves as they are: 60, 61, 97 and 43."""
    header = BOOTP(datagram)
    options: dict[str, bytes] = {}
    for option in header.payload.options:
        if option == "end":
            break
        if isinstance(option, tuple) and isinstance(option[1], bytes):
            options[option[0]] = options.get(option[0], b"") + option[1]
    names = ("vendor_class_id", "client_id", "pxe_client_machine_identifier", "vendor_specific")
    found = [options.get(name, b"") for name in names]
    return (int(header.xid), int(header.secs), int(header.flags), str(header.ciaddr), str(header.giaddr), *found)


def as_read_here(datagram: bytes) -> tuple[object, ...]:
    """The same by the decoder."""
    found = packet.decode(datagram)
    assert isinstance(found, Message)
    addresses = (str(found.ciaddr), str(found.giaddr))
    texts = (found.vendor_class.encode("latin-1"), found.client_id, found.client_uuid, found.vendor_options)
    return (found.xid, found.secs, found.flags, *addresses, *texts)


@pytest.mark.parametrize("datagram", REQUESTS)
def test_captured_requests_are_read_as_scapy_reads_them(datagram: bytes) -> None:
    assert as_read_here(datagram) == as_scapy_reads_it(datagram)


@given(
    st.lists(st.tuples(st.sampled_from([43, 60, 61, 97]), st.binary(min_size=1, max_size=60)), max_size=8),
    st.tuples(st.integers(0, 0xFFFFFFFF), st.integers(0, 0xFFFF), st.sampled_from([0, 0x8000])),
    st.ip_addresses(v=4),
)
def test_requests_are_read_as_scapy_reads_them(
    options: list[tuple[int, bytes]], numbers: tuple[int, int, int], address: IPv4Address
) -> None:
    xid, secs, flags = numbers
    options = [(code, value.rstrip(b"\0") + b"x") for code, value in options]
    datagram = message(DISCOVER, MAC, options, xid=xid, secs=secs, flags=flags, giaddr=str(address))
    assert as_read_here(datagram) == as_scapy_reads_it(datagram)


def test_the_longest_datagram_is_read() -> None:
    assert isinstance(packet.decode(GOOD.ljust(packet.MAX_DATAGRAM, b"\0")), Message)


def test_boot_requests_are_told_from_ordinary_traffic_by_their_bytes() -> None:
    assert packet.looks_like_boot(GOOD, 67)
    assert packet.looks_like_boot(message(DISCOVER, MAC, [(60, b"HTTPClient:Arch:00016")]), 67)
    assert not packet.looks_like_boot(message(REQUEST, MAC, firmware(0)), 67)
    assert packet.looks_like_boot(message(REQUEST, MAC, firmware(0)), 4011)
    assert not packet.looks_like_boot(message(DISCOVER, MAC, [(60, b"Linux ipconfig")]), 67)


@given(st.binary(max_size=packet.MAX_DATAGRAM + 10))
@settings(max_examples=200, deadline=None)
def test_no_bytes_make_it_raise(datagram: bytes) -> None:
    assert isinstance(packet.decode(datagram), Message | Ignore)
    assert isinstance(packet.peek(datagram), MacAddress | Ignore)


@given(st.binary(max_size=600))
@settings(max_examples=300, deadline=None)
def test_no_options_make_it_raise(options: bytes) -> None:
    assert isinstance(packet.decode(GOOD[:240] + options), Message | Ignore)


@given(st.sampled_from(CAPTURED), st.data())
@settings(max_examples=300, deadline=None)
def test_no_mutation_of_a_capture_makes_it_raise(datagram: bytes, data: st.DataObject) -> None:
    mutated = bytearray(datagram)
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(mutated) - 1))
        cut = data.draw(st.integers(0, 4))
        mutated[at : at + cut] = data.draw(st.binary(max_size=4))
        if not mutated:
            break
    assert isinstance(packet.decode(bytes(mutated)), Message | Ignore)


REPLY = Reply(
    message_type=MessageType.OFFER,
    xid=0xFBAA7412,
    flags=0x8000,
    ciaddr=IPv4Address(0),
    siaddr=IPv4Address("10.77.0.1"),
    giaddr=IPv4Address("10.78.0.1"),
    mac=MacAddress.parse("52:54:00:aa:bb:01"),
    sname=b"10.77.0.1",
    file=b"525400aabb01/undionly.kpxe",
    options=((53, b"\x02"), (54, bytes([10, 77, 0, 1])), (60, b"PXEClient"), (43, b"\x06\x01\x08\xff")),
    destination=IPv4Address("255.255.255.255"),
    destination_port=68,
)


def test_a_reply_byte_by_byte() -> None:
    header = bytes.fromhex("02010600 fbaa7412 0000 8000 00000000 00000000 0a4d0001 0a4e0001 525400aabb01") + bytes(10)
    options = bytes.fromhex("63825363 350102 36040a4d0001 3c09") + b"PXEClient" + bytes.fromhex("2b04060108ff ff")
    strings = b"10.77.0.1".ljust(64, b"\0") + b"525400aabb01/undionly.kpxe".ljust(128, b"\0")
    assert packet.encode(REPLY) == (header + strings + options).ljust(300, b"\0")


@pytest.mark.parametrize(
    "wrong",
    [
        dataclasses.replace(REPLY, file=b"x" * 128),
        dataclasses.replace(REPLY, sname=b"x" * 64),
        dataclasses.replace(REPLY, options=((67, b"x" * 256),)),
    ],
    ids=["file", "sname", "option"],
)
def test_a_reply_that_does_not_fit_is_not_written(wrong: Reply) -> None:
    with pytest.raises(ValueError, match="at most"):
        packet.encode(wrong)


@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.tuples(st.integers(1, 254), st.binary(max_size=255)), max_size=8, unique_by=lambda each: each[0]),
)
@settings(max_examples=100, deadline=None)
def test_any_reply_that_fits_is_written_as_it_is(xid: int, options: list[tuple[int, bytes]]) -> None:
    answer = Answer.parse(packet.encode(dataclasses.replace(REPLY, xid=xid, options=tuple(options))))
    assert (answer.xid, list(answer.options.items())) == (xid, options)
