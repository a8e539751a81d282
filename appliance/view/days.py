"""What the PCs did day by day, as people and scripts see it: `history`, the plots, the digest. PURE."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from appliance.heartbeats.tally import DAY, DayTotal

MOST_DAYS = 400
"""So many days are kept, if the configuration says nothing else, and shown at most."""

_HOUR = 3600


@dataclass(frozen=True, slots=True)
class DayView:
    """A day of UTC ("2026-11-30"): how many PCs were on or got credit, for how many hours they were on together, how
    many hours of one core they computed, and BOINC's credit."""

    day: str
    pcs: int
    power_on_hours: float
    core_hours: float
    credit: float


def span_of(days: int, now: float) -> tuple[int, int]:
    """The first and the last of so many days, counted since the epoch; the last one is that of `now`, in seconds since
    the epoch."""
    today = int(now) // DAY
    return today - days + 1, today


def day_views(found: Sequence[DayTotal], first: int, last: int) -> list[DayView]:
    """Every day from `first` to `last`, in order, those without figures too."""
    known = {each.day: each for each in found}
    return [_day(known.get(day) or DayTotal(day, 0, 0, 0, 0.0)) for day in range(first, last + 1)]


def sum_of(days: Sequence[DayView]) -> DayView:
    """All of them together; `pcs` is the most of one day."""
    return DayView(
        f"{len(days)} days",
        max((each.pcs for each in days), default=0),
        round(sum(each.power_on_hours for each in days), 2),
        round(sum(each.core_hours for each in days), 2),
        round(sum(each.credit for each in days), 2),
    )


def _day(total: DayTotal) -> DayView:
    return DayView(
        datetime.fromtimestamp(total.day * DAY, UTC).strftime("%Y-%m-%d"),
        total.pcs,
        round(total.powered / _HOUR, 2),
        round(total.computed / _HOUR, 2),
        round(total.credit, 2),
    )
