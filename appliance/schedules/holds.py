"""Rooms that are held on or off, as a table of the registry: one hold for each label. Decides nothing itself."""

from appliance.registry import rows
from appliance.registry.database import Registry
from appliance.schedules.hold import Hold


def put(registry: Registry, hold: Hold) -> None:
    """Hold the room, whatever was said of it before. Holds that are over are deleted."""
    with registry.edit():
        registry.sql.execute("DELETE FROM holds WHERE until <= ?", (hold.began,))
        _delete(registry, hold.label)
        values = (hold.label, "on" if hold.on else "off", hold.began, hold.until)
        registry.sql.execute("INSERT INTO holds (label, state, began, until) VALUES (?, ?, ?, ?)", values)


def release(registry: Registry, label: str) -> bool:
    """Take the hold of a room back; False if there was none."""
    with registry.edit():
        return _delete(registry, label)


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


def _delete(registry: Registry, label: str) -> bool:
    # SQLite's own idea of capitals ends with ASCII.
    found = registry.sql.execute("SELECT label FROM holds").fetchall()
    same = [(known,) for (known,) in found if str(known).casefold() == label.casefold()]
    registry.sql.executemany("DELETE FROM holds WHERE label = ?", same)
    return bool(same)
