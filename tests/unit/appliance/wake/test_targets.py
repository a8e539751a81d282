"""Whom a person wants woken."""

import pytest

from appliance.allowlist import Allowlist, BootSettings, entry_of
from appliance.errors import UserError
from appliance.wake.targets import resolve
from services.ethernet import MacAddress

A, B, C, D = (MacAddress(0x525400AABB01 + number) for number in range(4))
ALLOWLIST = Allowlist.of(
    [
        entry_of("52:54:00:aa:bb:*", "room 12", BootSettings(schedule="night")),
        entry_of(str(B), "door"),
        entry_of("52:54:00:aa:bc:*", "room 13", BootSettings(schedule="day")),
    ]
)
SCHEDULES = {"night": 0, "day": 0}


def woken(text: str) -> list[MacAddress]:
    return resolve(text, ALLOWLIST, {A.value, C.value, 0x020000000001}, SCHEDULES)


def test_labels_ranges_and_schedules() -> None:
    assert woken("Room 12") == [A, C]
    assert woken("52:54:00:aa:bb:*") == [A, B, C]
    assert woken("schedule:night") == [A, C]


def test_one_that_has_never_booted_if_it_is_named_or_listed() -> None:
    assert woken("door") == [B]
    assert woken(str(D)) == [D]


@pytest.mark.parametrize(
    ("text", "words", "hint"),
    [
        ("02:00:00:00:00:01", "is not allowed; nothing was changed", "allow add"),
        ("02:00:00:00:00:02", "is not allowed; nothing was changed", "allow add"),
        ("room 99", "neither a MAC address, nor a range, nor a label", "allow list"),
        ("schedule:nights", "there is no schedule 'nights'; nothing was changed", "day, night"),
        ("schedule:day", "no PC that has booted has the schedule day", "allow set RANGE --schedule day"),
    ],
)
def test_what_names_nobody(text: str, words: str, hint: str) -> None:
    with pytest.raises(UserError, match=words) as error:
        woken(text)
    assert hint in error.value.hint
