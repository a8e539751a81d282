"""When a client is too slow, and when it has the whole file; time is an argument."""

from services.http.slow_client import LEAST, STALLED_AFTER, TAIL, TAIL_QUIET, StallClock

SIZE = 10 * LEAST


def test_a_client_that_takes_enough_may_take_any_time_in_all() -> None:
    clock = StallClock(SIZE, 0)
    for number in range(1, 11):
        now = number * (STALLED_AFTER - 1)
        assert not clock.ended(number * LEAST, now)
    assert clock.arrived(now)


def test_a_byte_now_and_then_is_not_enough() -> None:
    clock = StallClock(SIZE, 0)
    assert not any(clock.ended(second, second) for second in range(int(STALLED_AFTER)))
    assert clock.ended(int(STALLED_AFTER), STALLED_AFTER)


def test_at_the_end_the_rest_is_enough() -> None:
    clock = StallClock(LEAST + 10, 0)
    assert not clock.ended(LEAST, STALLED_AFTER - 1)
    assert not clock.ended(LEAST + 9, 2 * STALLED_AFTER - 2)
    assert clock.ended(LEAST + 9, 2 * STALLED_AFTER - 1)


def test_an_unacknowledged_short_tail_counts_as_arrived_after_a_quiet_time() -> None:
    clock = StallClock(SIZE, 0)
    clock.ended(SIZE - TAIL, 1)
    assert not clock.arrived(1 + TAIL_QUIET)
    assert clock.arrived(1.1 + TAIL_QUIET)


def test_a_longer_tail_does_not() -> None:
    clock = StallClock(SIZE, 0)
    clock.ended(SIZE - TAIL - 1, 1)
    assert not clock.arrived(2 + TAIL_QUIET)


def test_nor_does_a_small_file_of_which_nothing_was_acknowledged() -> None:
    assert not StallClock(TAIL, 0).arrived(2 + TAIL_QUIET)
