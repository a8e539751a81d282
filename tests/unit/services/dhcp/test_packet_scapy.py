"""packet.py reads the same as scapy, field by field."""

from ipaddress import IPv4Address
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scapy.layers.dhcp import BOOTP, DHCPOptions

from services.decision import Ignore, Reason
from services.dhcp import packet
from services.dhcp.message import Message, Option
from tests.captures import all_captures, datagrams
from tests.fakes.dhcp_client import firmware, message

MAC = bytes.fromhex("525400aabb01")
REQUESTS = [each.payload for name in all_captures() for each in datagrams(name, 67, 4011) if each.payload[0] == 1]

_NAMES = {
    (name if isinstance(name := DHCPOptions.get(code, code), int | str) else str(name.name)): int(code)
    for code in (43, 50, 53, 54, 60, 61, 77, 82, 93, 97, 175)
}

plain = st.tuples(st.integers(1, 254), st.binary(max_size=40))
addresses = st.tuples(st.sampled_from([50, 54]), st.binary(min_size=4, max_size=4))
known = st.tuples(st.sampled_from([43, 60, 61, 77, 82, 93, 97, 175]), st.binary(max_size=60))
kinds = st.tuples(st.just(53), st.binary(min_size=1, max_size=2))
options = st.lists(st.one_of(plain, addresses, known, kinds), max_size=12)


def scapy_reads(datagram: bytes) -> dict[str, Any] | None:
    """The header, and the options that we read, as bytes; None where scapy gives up at an option that is complete."""
    header = BOOTP(datagram)
    found = dict.fromkeys(map(int, Option), b"")
    for option in getattr(header.payload, "options", []):
        if option == "end":
            break
        if isinstance(option, bytes):
            if 2 <= len(option) >= 2 + option[1]:
                return None
            break
        if isinstance(option, tuple) and option[0] in _NAMES:
            found[_NAMES[option[0]]] += b"".join(map(_bytes, option[1:]))
    return {
        "xid": header.xid,
        "secs": header.secs,
        "flags": int(header.flags),
        "ciaddr": IPv4Address(header.ciaddr),
        "giaddr": IPv4Address(header.giaddr),
        "options": found,
    }


def _bytes(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    return bytes([value]) if isinstance(value, int) else IPv4Address(value).packed


def assert_same(datagram: bytes) -> None:
    """Compare both readings."""
    theirs = scapy_reads(datagram)
    if theirs is None:
        assume(False)
        return
    ours, value = packet.decode(datagram), theirs["options"]
    if not value[Option.MESSAGE_TYPE]:
        assert ours == Ignore(Reason.NOT_NETBOOT)
        return
    assert isinstance(ours, Message)
    assert (ours.xid, ours.secs, ours.flags) == (theirs["xid"], theirs["secs"], theirs["flags"])
    assert (ours.ciaddr, ours.giaddr) == (theirs["ciaddr"], theirs["giaddr"])
    assert ours.message_type == value[Option.MESSAGE_TYPE][0]
    assert ours.vendor_class == value[Option.VENDOR_CLASS].rstrip(b"\0").decode("latin-1")
    assert (
        b"".join(n.to_bytes(2, "big") for n in ours.architectures)
        == value[Option.ARCHITECTURE][: len(value[Option.ARCHITECTURE]) // 2 * 2]
    )
    assert bool(ours.user_classes) == bool(value[Option.USER_CLASS].rstrip(b"\0"))
    assert ours.ipxe_options == bool(value[Option.IPXE])
    for code, read in (
        (Option.CLIENT_UUID, ours.client_uuid),
        (Option.VENDOR_OPTIONS, ours.vendor_options),
        (Option.CLIENT_ID, ours.client_id),
        (Option.RELAY_INFORMATION, ours.relay_information),
    ):
        assert read == value[code]
    for code, address in ((Option.REQUESTED_ADDRESS, ours.requested_address), (Option.SERVER_ID, ours.server_id)):
        assert address == (IPv4Address(value[code]) if len(value[code]) == 4 else None)


def test_every_captured_request_is_read_the_same() -> None:
    assert REQUESTS
    for datagram in REQUESTS:
        assert_same(datagram)


@given(options, st.integers(0, 0xFFFFFFFF), st.integers(0, 0xFFFF), st.integers(0, 0xFFFF), st.booleans())
@settings(max_examples=200, deadline=None)
def test_any_options_are_read_the_same(
    some: list[tuple[int, bytes]], xid: int, secs: int, flags: int, boots: bool
) -> None:
    more = [*(firmware(7) if boots else []), *some]
    assert_same(message(1, MAC, more, xid=xid, secs=secs, flags=flags, ciaddr="10.0.0.9", giaddr="10.0.0.1"))


@given(st.sampled_from(REQUESTS), st.integers(0, 400), st.binary(max_size=4), st.integers(241, 700))
@settings(max_examples=300, deadline=None)
def test_damaged_captures_are_read_the_same(datagram: bytes, at: int, change: bytes, end: int) -> None:
    damaged = (datagram[: 240 + at] + change + datagram[240 + at + len(change) :])[:end]
    assume(not isinstance(packet.peek(damaged), Ignore))
    assert_same(damaged)
