"""A stop waits as long as there is progress; on a fake clock."""

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


def test_with_nothing_under_way_it_does_not_wait() -> None:
    assert play(lambda _: (), 10) == (True, 0)


def test_transfers_that_make_progress_may_finish() -> None:
    finished, after = play(lambda now: [int(now)] if now < 8 else [], 10)
    assert finished
    assert 8 <= after < 9


def test_endless_progress_is_cut_off_in_time() -> None:
    finished, after = play(lambda now: [now], 10)
    assert (finished, after) == (False, 10)


def test_without_progress_it_gives_up() -> None:
    finished, after = play(lambda now: [min(int(now), 4)], 60)
    assert not finished
    assert 4 + STILL_AFTER <= after < 5 + STILL_AFTER


def test_a_short_pause_is_no_reason_to_give_up() -> None:
    """Such as after a client's last packet was lost."""
    finished, _ = play(lambda now: [now >= STILL_AFTER - 1] if now < STILL_AFTER + 1 else [], 60)
    assert finished
