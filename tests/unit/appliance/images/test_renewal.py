"""By which rules a new release comes into force."""

from dataclasses import replace

import pytest

from appliance.images.notes import BootTest
from appliance.images.renewal import given_up, needs_test, stands_aside
from appliance.images.rollout import Canary, Ending, Proof

OLD, ACTIVE, NEW = "20261108-090000-aaaaaaaa", "20261115-090000-aaaaaaaa", "20261122-090000-aaaaaaaa"
CANARY = Canary(1, NEW, ACTIVE, "room 12", (), Proof(3600.0), 1000.0, 0, 1000.0)
ROLLED_BACK = replace(CANARY, verdict=Ending.ROLLED_BACK, reason="2 PCs failed with it", ended=2000.0)
TEST = BootTest(1000.0, "", "uefi", "tcg", (), "/log")


def test_a_canary_that_was_rolled_back_is_not_tried_again() -> None:
    assert given_up(NEW, ACTIVE, OLD, [ROLLED_BACK]) == "its canary was rolled back: 2 PCs failed with it"
    assert given_up(OLD, ACTIVE, None, [ROLLED_BACK]) == ""


@pytest.mark.parametrize("verdict", [Ending.OPEN, Ending.CANCELLED, Ending.PROMOTED])
def test_other_ends_of_a_canary_say_nothing_against_it(verdict: Ending) -> None:
    assert given_up(NEW, ACTIVE, OLD, [replace(CANARY, verdict=verdict)]) == ""


def test_what_somebody_cancelled_is_not_tried_again() -> None:
    cancelled = replace(CANARY, verdict=Ending.CANCELLED, reason="by hand")
    assert given_up(NEW, ACTIVE, OLD, [cancelled]) == "somebody cancelled its canary"
    assert given_up(NEW, ACTIVE, OLD, [replace(cancelled, reason="no PC has booted it")]) == ""


def test_what_somebody_went_back_from_is_not_tried_again() -> None:
    assert given_up(NEW, ACTIVE, NEW, []) == f"somebody went back from it to {ACTIVE}"
    assert given_up(OLD, ACTIVE, OLD, []) == "", "that is just the release before"
    assert given_up(NEW, None, NEW, []) == ""


def test_a_test_is_made_until_it_passes() -> None:
    assert [needs_test(True, last) for last in (None, replace(TEST, why="it hung"), TEST)] == [True, True, False]
    assert not needs_test(False, None)


def test_a_canary_that_nobody_boots_gives_way_to_a_newer_release() -> None:
    older = replace(CANARY, release=OLD)
    assert stands_aside(older, NEW, 1001.0, same_image=True)
    assert not stands_aside(replace(older, until=5000.0), NEW, 1001.0, same_image=True), "PCs booted it: they decide"
    assert not stands_aside(CANARY, OLD, 1001.0, same_image=True)
    assert not stands_aside(None, NEW, 1001.0, same_image=True)


def test_to_a_release_of_another_image_it_gives_way_after_a_day() -> None:
    assert not stands_aside(replace(CANARY, release=OLD), NEW, 1001.0, same_image=False)
    assert stands_aside(CANARY, OLD, 1000.0 + 86401, same_image=False)
    assert not stands_aside(replace(CANARY, until=5000.0), NEW, 1000.0 + 86401, same_image=False)
