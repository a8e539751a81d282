"""The encoding of DHCP options, byte by byte; whole messages are in test_packet.py."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.dhcp.options import read_options
from tests.fakes.dhcp_client import option


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("", {}),
        ("35 01 01 ff", {53: b"\1"}),
        ("35 01 01 3c 00 ff", {53: b"\1", 60: b""}),
        ("00 00 35 01 01 00 36 02 00 ff ff", {53: b"\1", 54: b"\0\xff"}),  # pads; inside a value they are data
        ("35 01 01", {53: b"\1"}),  # no end mark
        ("35 01 01 ff 36 01 01", {53: b"\1"}),  # behind the end mark
        ("35 01 01 36 05 0a 4d", {53: b"\1"}),  # cut short
        ("35 01 01 36", {53: b"\1"}),  # a code, and no length
        ("35 00", {53: b""}),
        ("00", {}),
        ("ff", {}),
        ("3c 02 50 58 0c 01 61 3c 01 45", {60: b"PXE", 12: b"a"}),  # in two pieces
        ("00 00 47 04 80 01 00 00 ff", {71: b"\x80\1\0\0"}),  # inside of option 43
    ],
)
def test_a_field_is_read(data: str, expected: dict[int, bytes]) -> None:
    assert read_options(bytes.fromhex(data)) == expected


def test_only_the_wanted_codes_are_returned() -> None:
    assert read_options(bytes.fromhex("35 01 01 36 01 02 37 01 03 ff"), wanted={53, 55}) == {53: b"\1", 55: b"\3"}


def test_reading_starts_behind_the_header() -> None:
    assert read_options(b"\x36\x01\x02" + option(53, b"\1"), 3) == {53: b"\1"}


def test_an_option_whose_pieces_stand_in_two_fields_is_joined() -> None:
    found = read_options(option(52, b"\1") + option(60, b"PXE") + b"\xff")
    assert read_options(option(60, b"Client") + b"\xff", found=found) == {52: b"\1", 60: b"PXEClient"}


@given(st.lists(st.tuples(st.integers(1, 254), st.binary(max_size=255)), max_size=8))
def test_what_a_client_writes_is_read(sent: list[tuple[int, bytes]]) -> None:
    joined = {code: b"".join(value for each, value in sent if each == code) for code, _ in sent}
    assert read_options(b"".join(option(*each) for each in sent) + b"\xff") == joined


@given(st.binary(max_size=300), st.integers(0, 310))
def test_no_bytes_make_it_raise(data: bytes, start: int) -> None:
    assert sum(len(value) for value in read_options(data, start).values()) <= len(data)
