"""How often something may happen: so often at once, and so often a second for ever. PURE; times are in seconds."""


class Allowance:
    """Fills up to `most` again by `each_second`."""

    def __init__(self, most: float, each_second: float) -> None:
        self._most = most
        self._each_second = each_second
        self._left = most
        self._at = 0.0

    def take(self, now: float) -> bool:
        """Whether it may happen once more at `now`."""
        self._left = min(self._most, self._left + max(0.0, now - self._at) * self._each_second)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
