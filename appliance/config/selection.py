"""`for = ["52:54:00:*", "room 12"]`: the PCs that a part of the configuration is for. PURE.

Each text is a range of MAC addresses, or else a label of the allowlist.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache

from services.ethernet import MacAddress, MacRange

MOST = 64
"""The longest list."""


def check(texts: Sequence[str]) -> None:
    """Raises ValueError for a list that cannot be meant."""
    if len(texts) > MOST:
        raise ValueError(f"for: at most {MOST} ranges and labels")
    if not all(text.strip() for text in texts):
        raise ValueError("for: write ranges of MAC addresses, or labels as in: netboot-appliance allow list")


@lru_cache(1024)
def mac_range(text: str) -> MacRange | None:
    """The range that a text of the list names; None if it is a label."""
    try:
        return MacRange.parse(text)
    except ValueError:
        return None


def names(text: str, label: str) -> bool:
    """Whether somebody who writes this means this label of the allowlist: whatever the capitals."""
    return bool(label) and text.strip().casefold() == label.casefold()


def narrowest(texts: Iterable[str], mac: MacAddress, allowed: MacRange, label: str) -> int | None:
    """How many addresses the narrowest range of the list has that this PC is in; None if it is in none.

    `allowed` and `label` are those of the entry that decides for the PC. A label stands for that entry's range.
    """
    sizes = []
    for text in texts:
        span = mac_range(text)
        if span is None:
            span = allowed if names(text, label) else None
        if span is not None and mac in span:
            sizes.append(span.size)
    return min(sizes, default=None)
