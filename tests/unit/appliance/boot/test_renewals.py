"""Which files the PCs say they have, and how often they may fetch them again."""

from appliance.boot.renewals import AT_ONCE, MOST_PCS, SECONDS_EACH, Renewals
from services.ethernet import MacAddress

PC, OTHER = MacAddress(1), MacAddress(2)


def test_what_a_pc_said_counts_for_its_boot_alone() -> None:
    renewals = Renewals()
    assert renewals.of(PC, 7) is None
    renewals.placed(PC, 7, "a")
    assert (renewals.of(PC, 7), renewals.of(PC, 8), renewals.of(OTHER, 7)) == ("a", None, None)
    renewals.placed(PC, 7, "b")
    assert renewals.of(PC, 7) == "b"


def test_each_pc_has_a_budget_of_its_own() -> None:
    renewals = Renewals()
    assert [renewals.take(PC, 0) for _ in range(AT_ONCE + 1)] == [True] * AT_ONCE + [False]
    assert renewals.take(OTHER, 0)
    assert not renewals.take(PC, SECONDS_EACH - 1)
    assert renewals.take(PC, SECONDS_EACH)


def test_it_is_bounded_and_those_heard_last_stay() -> None:
    renewals = Renewals()
    renewals.placed(PC, 1, "a")
    for number in range(2, MOST_PCS + 1):
        renewals.placed(MacAddress(number), 1, "a")
    renewals.placed(PC, 1, "a")
    renewals.placed(MacAddress(MOST_PCS + 1), 1, "a")
    assert renewals.of(PC, 1) == "a"
    assert renewals.of(OTHER, 1) is None
