"""The daily figures of all PCs, as tables of the registry: what each did on each day of UTC, and the sums of a day.

`serve` writes them in one transaction with the heartbeats that they come from, so each of these counts once. Days are
counted since the epoch.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from appliance.heartbeats import tally
from appliance.heartbeats.records import StoredHeartbeat
from appliance.heartbeats.tally import Beat, DayTotal, Figures, Marks
from appliance.registry.database import Registry
from appliance.registry.rows import amount, whole
from services.boinc.condition import Condition
from services.ethernet import MacAddress

LAST = 1 << 32
"""Later than any day."""

_FEW = 1000
"""PCs whose rows are looked up one by one. For more, all rows of the days are read."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What a heartbeat adds: `days` and `fresh` (those without a row until now); `marks` if they have changed."""

    mac: MacAddress
    days: Mapping[int, Figures]
    fresh: frozenset[int]
    marks: Marks | None


def beat(heartbeat: StoredHeartbeat) -> Beat:
    """What counts of a stored heartbeat."""
    return Beat(heartbeat.boot, heartbeat.at, heartbeat.at, tally.number(heartbeat.facts, "uptime"))


def count(
    registry: Registry, last: StoredHeartbeat | None, now: StoredHeartbeat, first: float, boinc: Condition
) -> Counted:
    """What a heartbeat adds to the figures; `last` is the one before it. `first`: when the first of those came that
    were not written because others followed soon. Reads only."""
    after = Beat(now.boot, first, now.at, tally.number(now.facts, "uptime"))
    seconds = tally.seconds_on(beat(last) if last else None, after)
    marks = _marks(registry, now.mac)
    gained, new_marks = tally.credit(marks, boinc.projects)
    if gained:
        seconds.setdefault(int(now.at) // tally.DAY, 0)
    cores = tally.computing(now.facts, boinc)
    known = {day: _figures(registry, day, now.mac) for day in seconds}
    days = {}
    for day, many in seconds.items():
        gain = gained if day == int(now.at) // tally.DAY else 0.0
        days[day] = tally.added(known[day] or Figures(), many, cores, gain)
    fresh = frozenset(day for day, found in known.items() if found is None)
    return Counted(
        now.mac, {day: each for day, each in days.items() if each}, fresh, None if new_marks == marks else new_marks
    )


def write(registry: Registry, counted: Iterable[Counted]) -> None:
    """Add to the figures, within the caller's transaction. Each PC may be among them once."""
    rows, marks, totals = [], [], dict[int, list[float]]()
    for each in counted:
        if each.marks is not None:
            marks.append((each.mac.value, tally.marks_to_json(each.marks)))
        for day, figures in each.days.items():
            values = figures.powered, figures.computed, figures.credit
            rows.append((day, each.mac.value, *values))
            total = totals.setdefault(day, [0, 0, 0, 0.0])
            for place, value in enumerate((int(day in each.fresh), *values)):
                total[place] += value
    sql = registry.sql
    sql.executemany("INSERT OR REPLACE INTO credits (mac, marks) VALUES (?, ?)", marks)
    sql.executemany(
        "INSERT INTO days (day, mac, powered, computed, credit) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
        " powered = powered + excluded.powered, computed = computed + excluded.computed,"
        " credit = credit + excluded.credit",
        rows,
    )
    sql.executemany(
        "INSERT INTO day_totals (day, pcs, powered, computed, credit) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
        " pcs = pcs + excluded.pcs, powered = powered + excluded.powered, computed = computed + excluded.computed,"
        " credit = credit + excluded.credit",
        [(day, *total) for day, total in totals.items()],
    )


def totals(registry: Registry, first: int, last: int, macs: Sequence[MacAddress] | None = None) -> list[DayTotal]:
    """The figures of the days from `first` to `last` that have some, in order: of all PCs, or of these together."""
    if macs is None:
        found = registry.sql.execute(
            "SELECT day, pcs, powered, computed, credit FROM day_totals WHERE day BETWEEN ? AND ? ORDER BY day",
            (first, last),
        )
    else:
        registry.sql.execute("CREATE TEMP TABLE IF NOT EXISTS chosen (mac INTEGER PRIMARY KEY)")
        registry.sql.execute("DELETE FROM chosen")
        registry.sql.executemany("INSERT OR IGNORE INTO chosen VALUES (?)", [(mac.value,) for mac in macs])
        # CROSS JOIN: in this order. The days of a PC lie far apart, those of a day side by side.
        if len(macs) <= _FEW:
            tables = "day_totals AS t CROSS JOIN chosen CROSS JOIN days AS d ON d.day = t.day AND d.mac = chosen.mac"
        else:
            tables = "days AS d CROSS JOIN chosen ON chosen.mac = d.mac"
        found = registry.sql.execute(
            f"SELECT d.day, count(*), sum(d.powered), sum(d.computed), sum(d.credit) FROM {tables}"  # noqa: S608
            f" WHERE {'t' if len(macs) <= _FEW else 'd'}.day BETWEEN ? AND ? GROUP BY d.day ORDER BY d.day",
            (first, last),
        )
    with registry.reading("days"):
        return [
            DayTotal(whole(day), whole(pcs), whole(powered), whole(computed), amount(credit))
            for day, pcs, powered, computed, credit in found
        ]


def _figures(registry: Registry, day: int, mac: MacAddress) -> Figures | None:
    row = registry.sql.execute(
        "SELECT powered, computed, credit FROM days WHERE day = ? AND mac = ?", (day, mac.value)
    ).fetchone()
    if row is None:
        return None
    try:
        return Figures(whole(row[0]), whole(row[1]), amount(row[2]))
    except ValueError:
        return Figures()  # a damaged row: what is added to it makes numbers of it


def _marks(registry: Registry, mac: MacAddress) -> Marks:
    row = registry.sql.execute("SELECT marks FROM credits WHERE mac = ?", (mac.value,)).fetchone()
    return tally.marks_from_json(row[0]) if row else {}
