"""A stop waits for what moves, and for nothing else; on a clock of its own."""

from collections.abc import Awaitable, Callable

from services.draining import STILL_AFTER, drained
from tests.fakes.clock import FakeClockLoop

BEGUN = 1000.0


def play(progress: Callable[[float], object], seconds: float) -> tuple[bool, float]:
    """What `drained` returns, and after how many seconds; `progress` is given the seconds since the stop."""
    loop = FakeClockLoop(BEGUN)
    waiting: Awaitable[bool] = drained(lambda: progress(loop.now - BEGUN), seconds)
    try:
        return loop.run_until_complete(waiting), loop.now - BEGUN
    finally:
        loop.close()


def test_with_nothing_under_way_it_is_instant() -> None:
    assert play(lambda _: (), 10) == (True, 0)


def test_what_moves_may_finish() -> None:
    finished, after = play(lambda now: [int(now)] if now < 8 else [], 10)
    assert finished
    assert 8 <= after < 9


def test_what_moves_for_ever_is_cut_off_in_time() -> None:
    finished, after = play(lambda now: [now], 10)
    assert (finished, after) == (False, 10)


def test_what_does_not_move_is_not_waited_for() -> None:
    finished, after = play(lambda now: [min(int(now), 4)], 60)
    assert not finished
    assert 4 + STILL_AFTER <= after < 5 + STILL_AFTER


def test_a_pause_is_no_standstill() -> None:
    """Of a client whose last packet was lost."""
    finished, _ = play(lambda now: [now >= STILL_AFTER - 1] if now < STILL_AFTER + 1 else [], 60)
    assert finished
