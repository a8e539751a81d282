"""How much each sender may cost: a token bucket for each key, in a table of bounded size. PURE.

A bucket is one number, the time at which it will be full again: the "theoretical arrival time" of the generic cell rate
algorithm (ITU-T I.371). A full bucket need not be remembered, so the table holds only senders of the last moments.
"""

from typing import Generic, TypeVar

_Key = TypeVar("_Key")
_ROUNDING = 1e-6  # seconds: sums of floats are not exact


class RateLimit(Generic[_Key]):
    """`burst` at once, and `rate` more each second, for each key. Costs are in the same unit. Times are monotonic
    seconds.

    At most `most` keys are remembered, and as many again of the time before: whoever floods with more keys than that
    makes the table forget, and so gets a full bucket for a key of its own again.
    """

    def __init__(self, burst: float, rate: float, most: int) -> None:
        self._rate = rate
        self._depth = burst / rate
        self._most = most
        self._full_at: dict[_Key, float] = {}
        self._before: dict[_Key, float] = {}
        self._turn_at = 0.0

    def take(self, key: _Key, now: float, cost: float = 1.0) -> bool:
        """Take `cost` out of the bucket of `key`; False, and nothing taken, if there is not so much in it."""
        full_at = self._full_at.get(key)
        if full_at is None:
            if now >= self._turn_at or len(self._full_at) >= self._most:
                self._turn(now)
            full_at = self._before.get(key, now)
        after = (full_at if full_at > now else now) + cost / self._rate
        if after - now > self._depth + _ROUNDING:
            return False
        self._full_at[key] = after
        return True

    def give_back(self, key: _Key, now: float, cost: float) -> None:
        """Put `cost` back: it was taken for nothing that matters."""
        full_at = self._full_at.get(key, self._before.get(key, now))
        self._full_at[key] = max(now, full_at - cost / self._rate)

    def __len__(self) -> int:
        """How many keys are remembered."""
        return len(self._full_at) + len(self._before)

    def _turn(self, now: float) -> None:
        # What was touched last before the previous turn is full by now, unless the table has overflowed.
        self._before, self._full_at = self._full_at, {}
        self._turn_at = now + self._depth
