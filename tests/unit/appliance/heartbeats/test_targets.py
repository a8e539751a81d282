"""Whom a person means by a MAC address, a range or a label."""

import pytest

from appliance.allowlist import Allowlist, Entry
from appliance.errors import UserError
from appliance.heartbeats.targets import labels, resolve
from services.ethernet import MacAddress, MacRange

FIRST = 0x525400000000
ALLOWED = Allowlist.of(
    [
        Entry(MacRange.parse("52:54:00:00:00:00/40"), "room 12"),
        Entry(MacRange.parse("52:54:00:00:00:03"), "the teacher's"),
        Entry(MacRange.parse("52:54:00:00:01:00/40"), "Room 12"),
        Entry(MacRange.parse("52:54:00:00:02:00/40"), ""),
        Entry(MacRange.parse("52:54:00:00:03:00/40"), "cellar"),
    ]
)
KNOWN = {FIRST + number for number in (3, 1, 2, 0x101, 0x201, 0x901)}


def numbers(text: str) -> list[int]:
    return [mac.value - FIRST for mac in resolve(text, ALLOWED, KNOWN)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("52:54:00:00:00:02", [2]),
        ("5254.0000.0002", [2]),
        ("52:54:00:00:00:00-52:54:00:00:00:02", [1, 2]),
        ("52:54:00:*", [1, 2, 3, 0x101, 0x201]),
        ("room 12", [1, 2, 0x101]),
        ("ROOM 12 ", [1, 2, 0x101]),
        ("the teacher's", [3]),
    ],
)
def test_whom_it_means(text: str, found: list[int]) -> None:
    assert numbers(text) == found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("52:54:00:00:00:09", "52:54:00:00:00:09 has not booted yet; nothing was changed"),
        ("52:54:00:00:09:02", "52:54:00:00:09:02 is not allowed; nothing was changed"),
        ("52:54:00:00:09:01", "52:54:00:00:09:01 is not allowed; nothing was changed"),
        ("52:54:00:00:09:00/40", "no PC of 52:54:00:00:09:00/40 is allowed any more; nothing was changed"),
        ("52:55:00:*", "no PC of 52:55:00:00:00:00/24 has booted yet; nothing was changed"),
        ("cellar", "no PC with the label 'cellar' has booted yet; nothing was changed"),
        ("attic", "'attic' is neither a MAC address, nor a range, nor a label of the allowlist; nothing was changed"),
        ("", "'' is neither a MAC address, nor a range, nor a label of the allowlist; nothing was changed"),
    ],
)
def test_nobody_is_an_error(text: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        resolve(text, ALLOWED, KNOWN)
    assert caught.value.message == message
    assert caught.value.hint
    assert caught.value.code == 2


def test_all_labels() -> None:
    assert labels(ALLOWED) == ["Room 12", "cellar", "room 12", "the teacher's"]


def test_a_pc_of_a_narrower_entry_has_its_label() -> None:
    assert MacAddress(FIRST + 3) not in resolve("room 12", ALLOWED, KNOWN)
