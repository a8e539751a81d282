"""Token buckets: how much passes, for each key, in a table of bounded size."""

from hypothesis import given
from hypothesis import strategies as st

from services.rate_limit import RateLimit

BURST, EACH_SECOND = 4.0, 2.0


def limit(most: int = 100) -> RateLimit[str]:
    return RateLimit(BURST, EACH_SECOND, most)


def test_a_burst_passes_and_then_the_rate() -> None:
    bucket = limit()
    assert [bucket.take("a", 10.0) for _ in range(6)] == [True] * 4 + [False] * 2
    assert [bucket.take("a", 11.0) for _ in range(3)] == [True, True, False]
    assert [bucket.take("a", 60.0) for _ in range(5)] == [True] * 4 + [False]


def test_each_key_has_a_bucket_of_its_own() -> None:
    bucket = limit()
    assert all(bucket.take("a", 10.0, BURST / 4) for _ in range(4))
    assert not bucket.take("a", 10.0)
    assert bucket.take("b", 10.0, BURST)


def test_what_is_given_back_can_be_taken_again() -> None:
    bucket = limit()
    assert bucket.take("a", 10.0, 3.0)
    bucket.give_back("a", 10.0, 3.0)
    assert bucket.take("a", 10.0, BURST)
    bucket.give_back("b", 10.0, 3.0)
    assert not bucket.take("b", 10.0, BURST + 1.0), "no bucket holds more than a burst"


@given(st.lists(st.tuples(st.floats(0.0, 1.0), st.floats(0.1, 2.0)), max_size=80))
def test_never_more_than_burst_and_rate(asked: list[tuple[float, float]]) -> None:
    bucket, now, taken = limit(), 100.0, 0.0
    for pause, cost in asked:
        now += pause
        for key in ("other", "a"):  # another key's requests change nothing
            if bucket.take(key, now, cost) and key == "a":
                taken += cost
        assert taken <= BURST + EACH_SECOND * (now - 100.0) + 1e-3


@given(st.lists(st.floats(0.5, 30.0), max_size=80))
def test_a_sender_within_the_rate_always_passes(pauses: list[float]) -> None:
    bucket, now = limit(), 100.0
    for pause in pauses:
        now += pause
        assert bucket.take("a", now)


def test_the_table_is_bounded() -> None:
    bucket = RateLimit[int](BURST, EACH_SECOND, 100)
    for number in range(10_000):
        bucket.take(number, 10.0)
    assert len(bucket) <= 200


def test_idle_keys_are_forgotten() -> None:
    bucket = limit()
    for key in "abcdef":
        bucket.take(key, 10.0)
    bucket.take("g", 20.0)
    bucket.take("h", 30.0)
    assert len(bucket) == 2
