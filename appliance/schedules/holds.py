"""Rooms that are held on or off, as a table of the registry: one hold for each label. Decides nothing itself.

A hold that is over is kept for a day: PCs that were on have to hear that it has ended.
"""

from dataclasses import replace

from appliance.registry import rows
from appliance.registry.database import Registry
from appliance.schedules.hold import Hold

KEPT_SECONDS = 86400.0


def put(registry: Registry, hold: Hold) -> None:
    """Hold the room, whatever was said of it before. Holds that are long over are deleted."""
    with registry.edit():
        registry.sql.execute("DELETE FROM holds WHERE until <= ?", (hold.began - KEPT_SECONDS,))
        _delete(registry, hold.label)
        _insert(registry, hold)


def release(registry: Registry, label: str, now: float) -> bool:
    """Take the hold of a room back, at `now`, in seconds since the epoch; False if none was in force."""
    with registry.edit():
        hold = next((each for each in all_of(registry).values() if each.label.casefold() == label.casefold()), None)
        if hold is None or hold.over(now):
            return False
        _delete(registry, label)
        if hold.on:
            # Its PCs are told that they have computed enough.
            _insert(registry, replace(hold, until=now))
        return True


def all_of(registry: Registry) -> dict[str, Hold]:
    """The holds by their labels, sorted; some may be over. Raises UserError for a registry that is damaged."""
    with registry.reading("holds"):
        found = registry.sql.execute("SELECT label, state, began, until FROM holds ORDER BY label")
        return {
            hold.label: hold for hold in (_hold(label, state, began, until) for label, state, began, until in found)
        }


def _hold(label: object, state: object, began: object, until: object) -> Hold:
    if state not in ("on", "off"):
        raise ValueError("a hold is neither on nor off")
    return Hold(rows.text(label), state == "on", rows.moment(began), None if until is None else rows.moment(until))


def _insert(registry: Registry, hold: Hold) -> None:
    values = (hold.label, "on" if hold.on else "off", hold.began, hold.until)
    registry.sql.execute("INSERT INTO holds (label, state, began, until) VALUES (?, ?, ?, ?)", values)


def _delete(registry: Registry, label: str) -> None:
    # SQLite's own idea of capitals ends with ASCII.
    found = registry.sql.execute("SELECT label FROM holds").fetchall()
    same = [(known,) for (known,) in found if str(known).casefold() == label.casefold()]
    registry.sql.executemany("DELETE FROM holds WHERE label = ?", same)
