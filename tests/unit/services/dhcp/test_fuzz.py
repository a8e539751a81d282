"""Hostile and odd DHCP messages through decoding, decision and encoding. tests/fuzz/dhcp.py checks what must hold."""

from ipaddress import IPv4Address

from hypothesis import given, settings
from hypothesis import strategies as st

from services.dhcp.message import Arrival, Option
from services.dhcp.plan import Profile
from tests.captures import Datagram, all_captures, datagrams
from tests.fakes.dhcp_client import DISCOVER, INFORM, REQUEST, firmware, message
from tests.fuzz import dhcp
from tests.fuzz.dhcp import ARRIVALS, MAC, PROFILES, hear

CAPTURED = [each for name in all_captures() for each in datagrams(name, 67, 4011) if each.payload[0] == 1]

SUB_OPTIONS = st.lists(
    st.tuples(st.sampled_from([0, 6, 8, 9, 10, 71, 255]), st.binary(max_size=12)).map(
        lambda each: bytes([each[0], len(each[1])]) + each[1]
    ),
    max_size=5,
).map(b"".join)
VALUES = {
    Option.VENDOR_OPTIONS: SUB_OPTIONS,
    Option.VENDOR_CLASS: st.sampled_from([b"PXEClient", b"PXEClient:Arch:00007:UNDI:003016", b"HTTPClient", b"MSFT"]),
    Option.ARCHITECTURE: st.lists(st.sampled_from([0, 6, 7, 9, 11, 15, 16, 20, 41, 999]), max_size=4).map(
        lambda numbers: b"".join(number.to_bytes(2, "big") for number in numbers)
    ),
    Option.USER_CLASS: st.sampled_from([b"iPXE", b"\x04iPXE", b"\x09iPXE", b"\0\0"]),
    Option.REQUESTED_ADDRESS: st.integers(125, 145).map(lambda last: bytes([10, 77, 0, last])),
    Option.SERVER_ID: st.sampled_from([bytes([10, 77, 0, 1]), bytes([10, 77, 0, 2])]),
    Option.RELAY_INFORMATION: st.lists(
        st.tuples(
            st.sampled_from([1, 5, 11]), st.one_of(st.just(bytes([10, 78, 0, 1])), st.binary(min_size=4, max_size=5))
        ).map(lambda each: bytes([each[0], len(each[1])]) + each[1]),
        max_size=3,
    ).map(b"".join),
    Option.CLIENT_UUID: st.sampled_from([bytes(17), b"\0" + b"\xff" * 16, b"u" * 255]),
}
OPTIONS = st.lists(
    st.one_of(
        st.sampled_from(list(VALUES)).flatmap(lambda code: st.tuples(st.just(int(code)), VALUES[code])),
        st.tuples(st.sampled_from(list(Option)).map(int), st.binary(max_size=255)),
        st.tuples(st.integers(0, 254), st.binary(max_size=20)),
    ),
    max_size=8,
)
ADDRESSES = st.one_of(
    st.sampled_from(
        ["0.0.0.0", "255.255.255.255", "127.0.0.1", "224.0.0.1", "10.77.0.1", "10.77.0.134", "10.78.0.1", "10.78.0.130"]
    ),
    st.integers(0, 2**32 - 1).map(lambda value: str(IPv4Address(value))),
)


@given(
    st.sampled_from([DISCOVER, REQUEST, INFORM, 4, 7, 255]),
    st.sampled_from([0, 7, 16, 41]),
    OPTIONS,
    ADDRESSES,
    ADDRESSES,
    st.sampled_from(ARRIVALS),
    st.sampled_from(PROFILES),
)
@settings(max_examples=150, deadline=None)
def test_whatever_firmware_says_the_answer_is_sound(
    kind: int,
    architecture: int,
    options: list[tuple[int, bytes]],
    ciaddr: str,
    giaddr: str,
    arrival: Arrival,
    profile: Profile,
) -> None:
    hear(
        message(kind, MAC, [*firmware(architecture), *options], ciaddr=ciaddr, giaddr=giaddr, secs=65535),
        arrival,
        profile,
    )
    hear(message(kind, MAC, options, ciaddr=ciaddr, giaddr=giaddr), arrival, profile)


@given(st.sampled_from(CAPTURED), st.data(), st.sampled_from(PROFILES))
@settings(max_examples=150, deadline=None)
def test_an_answer_to_a_changed_capture_is_sound(captured: Datagram, data: st.DataObject, profile: Profile) -> None:
    changed = bytearray(captured.payload)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(changed) - 1))
        changed[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    hear(bytes(changed), data.draw(st.sampled_from(ARRIVALS)), profile)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([DISCOVER, REQUEST, REQUEST, 4, 7, INFORM]),
            st.integers(0, 9),
            st.integers(128, 141),
            st.sampled_from([0, 1, 1, 2]),
            st.one_of(st.just([]), OPTIONS),
            st.one_of(st.just("0.0.0.0"), ADDRESSES),
        ),
        max_size=40,
    )
)
@settings(max_examples=50, deadline=None)
def test_no_messages_make_the_dhcp_server_break_its_rules(
    said: list[tuple[int, int, int, int, list[tuple[int, bytes]], str]],
) -> None:
    with dhcp.Target() as target:
        for kind, client, wanted, server, more, ciaddr in said:
            options = [(50, bytes([10, 77, 0, wanted])), *([(54, bytes([10, 77, 0, server]))] if server else [])]
            target.lease(message(kind, MAC[:5] + bytes([client]), [*options, *more], ciaddr=ciaddr))


def test_the_seeds_of_the_fuzzer_are_answered() -> None:
    """Otherwise fuzzing would start from nothing."""
    with dhcp.Target() as target:
        for seed in dhcp.seeds():
            target(seed)
    answers = [hear(seed[2:], ARRIVALS[seed[0]], Profile.STANDARD) for seed in dhcp.seeds()]
    assert {answer.kind for answer in answers if answer} == {"OFFER", "ACK"}
