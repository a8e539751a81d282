"""Whom a window wakes when it begins. PURE.

A PC is asked for once in a window. That it was asked for is read from the requests themselves, so a server that was off
at the beginning asks later, and one that is restarted does not ask again.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from appliance.schedules.schedule import Window
from services.ethernet import MacAddress

ON_TIME = 600.0
"""Seconds after the beginning of a window in which its PCs are woken, however short it is."""

LEAST_LEFT = 1800.0
"""Seconds of the window that must be left later than that: a PC that has just started is not to go off again."""

LONGEST = 7 * 86400.0
"""Seconds for which a window may have been open. When one began that never ends, nobody knows."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """Since when PCs are to be on, in seconds since the epoch, and who wants it: "schedule NAME" or "room LABEL"."""

    at: float
    asked_by: str


def beginning(window: Window | None, asked_by: str, now: float) -> Beginning | None:
    """The beginning of the window that wakes its PCs at `now`, or None: it is closed, or it is too late for it."""
    if window is None or now not in window:
        return None
    late = now - window.begin
    enough = window.end is None or window.end - now >= LEAST_LEFT
    return Beginning(window.begin, asked_by) if late <= ON_TIME or (enough and late <= LONGEST) else None


def to_ask(
    pcs: Iterable[tuple[MacAddress, Beginning | None]], asked: Mapping[MacAddress, float]
) -> dict[str, list[MacAddress]]:
    """The PCs to ask for now, by who asks. `pcs` has the beginning for each; `asked` says when each was asked for last,
    by whomever."""
    found: dict[str, list[MacAddress]] = {}
    for mac, begins in pcs:
        if begins and asked.get(mac, 0.0) < begins.at:
            found.setdefault(begins.asked_by, []).append(mac)
    return found
