"""What a person said of a room, whatever its schedule says: compute, or do not. PURE."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Hold:
    """All PCs with this label compute (`on`), or do not, since `began` until `until`, both in seconds since the epoch.
    `until` is None until somebody takes the hold back."""

    label: str
    on: bool
    began: float
    until: float | None = None

    def over(self, now: float) -> bool:
        """Whether it has ended by itself."""
        return self.until is not None and now >= self.until


class Holds:
    """The holds of all rooms, for lookups by label: capitals do not matter."""

    def __init__(self, holds: Iterable[Hold] = ()) -> None:
        self._by_label = {each.label.casefold(): each for each in holds}

    def __bool__(self) -> bool:
        return bool(self._by_label)

    def last(self, label: str) -> Hold | None:
        """The last hold of PCs with this label, as far as it is known; it may be over."""
        return self._by_label.get(label.casefold()) if label else None

    def of(self, label: str, now: float) -> Hold | None:
        """The hold that is in force for PCs with this label, or None."""
        found = self.last(label)
        return None if found is None or found.over(now) else found
