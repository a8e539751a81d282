"""MAC addresses and ranges, in every notation that people write."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ethernet import HIGHEST, MacAddress, MacRange

AABBCC = MacAddress(0x525400AABBCC)


@pytest.mark.parametrize(
    "text",
    ["52:54:00:aa:bb:cc", "52-54-00-AA-BB-CC", "5254.00aa.bbcc", "525400AABBCC", "  52:54:00:aa:bb:cc\n"],
)
def test_every_common_notation(text: str) -> None:
    assert MacAddress.parse(text) == AABBCC


@pytest.mark.parametrize(
    "text",
    [
        "",
        "52:54:00:aa:bb",
        "52:54:00:aa:bb:cc:dd",
        "52:54-00:aa:bb:cc",
        "52:54:00:aa:bb:cg",
        "525400aabbc",
        "٥٢:54:00:aa:bb:cc",
    ],
)
def test_other_text_is_refused_with_a_list_of_the_notations(text: str) -> None:
    with pytest.raises(ValueError, match="not a MAC address"):
        MacAddress.parse(text)


def test_forms_that_other_programs_read() -> None:
    assert str(AABBCC) == "52:54:00:aa:bb:cc"
    assert AABBCC.bare == "525400aabbcc"
    assert MacAddress.from_bytes(bytes(AABBCC)) == AABBCC


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("52:54:00:aa:bb:cc", 0x525400AABBCC, 0x525400AABBCC),
        ("52:54:00:*", 0x525400000000, 0x525400FFFFFF),
        ("52-54-*", 0x525400000000 & 0xFFFF00000000, 0x5254FFFFFFFF),
        ("52:54:00:00:00:00/24", 0x525400000000, 0x525400FFFFFF),
        ("52:54:00:00:00:10 - 52:54:00:00:00:20", 0x525400000010, 0x525400000020),
        ("525400000010-525400000020", 0x525400000010, 0x525400000020),
        ("52-54-00-00-00-10-52-54-00-00-00-20", 0x525400000010, 0x525400000020),
        ("00:00:00:00:00:00/0", 0, HIGHEST),
    ],
)
def test_ranges(text: str, first: int, last: int) -> None:
    assert MacRange.parse(text) == MacRange(MacAddress(first), MacAddress(last))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("52:54:00:00:00:20-52:54:00:00:00:10", "backwards"),
        ("52:54:00:00:00:01/24", "write 52:54:00:00:00:00/24"),
        ("52:54:00:00:00:00/49", "from 0 to 48"),
        ("52:54:00:00:00:00/²", "from 0 to 48"),
        ("*", "not a MAC address or range"),
        ("52:54:00:aa:bb:cc-", "not a MAC address or range"),
    ],
)
def test_the_error_for_a_wrong_range_says_what_is_right(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        MacRange.parse(text)


@given(st.integers(0, HIGHEST), st.integers(0, HIGHEST))
def test_a_range_reads_back_what_it_prints(a: int, b: int) -> None:
    written = MacRange(MacAddress(min(a, b)), MacAddress(max(a, b)))
    assert MacRange.parse(str(written)) == written


@given(st.text())
def test_any_text_is_a_range_or_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        MacRange.parse(text)
