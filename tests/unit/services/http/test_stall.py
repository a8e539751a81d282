"""How long a client is waited for, with a clock of the test's own."""

from services.http.stall import LEAST, STALLED_AFTER, TAIL, TAIL_QUIET, StallClock

SIZE = 10 * LEAST


def test_who_takes_enough_is_waited_for_as_long_as_it_takes() -> None:
    patience = StallClock(SIZE, 0)
    for number in range(1, 11):
        now = number * (STALLED_AFTER - 1)
        assert not patience.ended(number * LEAST, now)
    assert patience.arrived(now)


def test_a_byte_now_and_then_is_not_enough() -> None:
    patience = StallClock(SIZE, 0)
    assert not any(patience.ended(second, second) for second in range(int(STALLED_AFTER)))
    assert patience.ended(int(STALLED_AFTER), STALLED_AFTER)


def test_the_rest_is_enough_when_it_is_less() -> None:
    patience = StallClock(LEAST + 10, 0)
    assert not patience.ended(LEAST, STALLED_AFTER - 1)
    assert not patience.ended(LEAST + 9, 2 * STALLED_AFTER - 2)
    assert patience.ended(LEAST + 9, 2 * STALLED_AFTER - 1)


def test_a_short_tail_has_arrived_when_it_is_quiet() -> None:
    patience = StallClock(SIZE, 0)
    patience.ended(SIZE - TAIL, 1)
    assert not patience.arrived(1 + TAIL_QUIET)
    assert patience.arrived(1.1 + TAIL_QUIET)


def test_a_long_one_has_not() -> None:
    patience = StallClock(SIZE, 0)
    patience.ended(SIZE - TAIL - 1, 1)
    assert not patience.arrived(2 + TAIL_QUIET)


def test_a_small_file_of_which_nothing_arrived_has_not() -> None:
    assert not StallClock(TAIL, 0).arrived(2 + TAIL_QUIET)
