"""Rooms, which are the labels of the allowlist, and how a person holds them, as people and scripts see them."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from appliance.allowlist import Allowlist
from appliance.boot.windows import schedule_of
from appliance.config.file import Config
from appliance.errors import NotFoundError
from appliance.registry.database import Registry
from appliance.schedules import holds
from appliance.schedules.effective import effective_window
from appliance.schedules.hold import Hold, Holds
from appliance.view.schedules import WindowView

_NAMED = 20
"""Rooms that an error names."""


@dataclass(frozen=True, slots=True)
class RoomView:
    """A room. `held` is "on", "off" or empty; `since` and `until` are those of the hold, in seconds since the epoch, or
    None. `schedules` are the names of those of its ranges; "" for ranges without one."""

    label: str
    held: str
    since: float | None
    until: float | None
    schedules: tuple[str, ...]
    ranges: int


@dataclass(frozen=True, slots=True)
class RangeNow:
    """When the PCs of a range compute: `open` now, and the window that is open or comes next, None if there is none to
    come. `schedule` may be empty."""

    range: str
    schedule: str
    open: bool
    window: WindowView | None


def room_views(allowlist: Allowlist, held: Iterable[Hold], now: float) -> list[RoomView]:
    """All labels, sorted, with the holds that are in force at `now`."""
    ranges: Counter[str] = Counter()
    schedules: dict[str, set[str]] = {}
    for entry in allowlist.entries:
        if entry.label:
            ranges[entry.label] += 1
            schedules.setdefault(entry.label, set()).add(entry.settings.schedule)
    known = Holds(held)
    return [
        _view(label, known.of(label, now), tuple(sorted(schedules[label])), many)
        for label, many in sorted(ranges.items())
    ]


def gather_rooms(registry: Registry, now: float) -> list[RoomView]:
    """All rooms, as the registry has them at `now`, in seconds since the epoch."""
    return room_views(registry.allowlist(), holds.all_of(registry).values(), now)


def find_room(registry: Registry, text: str, now: float) -> RoomView:
    """The room that a person means, whatever the capitals; raises NotFoundError, which names those that there are."""
    found = gather_rooms(registry, now)
    for room in found:
        if room.label.casefold() == text.strip().casefold():
            return room
    labels = ", ".join(room.label for room in found[:_NAMED]) + (", …" if len(found) > _NAMED else "")
    raise NotFoundError(
        f"no entry of the allowlist has the label {text!r}",
        f"there are: {labels}" if labels else "give one: netboot-appliance allow set RANGE --label LABEL",
    )


def ranges_now(config: Config, registry: Registry, room: RoomView, now: float) -> list[RangeNow]:
    """When each range of this room computes."""
    held = Holds(holds.all_of(registry).values()).of(room.label, now)
    views = []
    for entry in registry.allowlist().entries:
        if entry.label.casefold() == room.label.casefold():
            name = entry.settings.schedule
            window = effective_window(schedule_of(config, name), held, now)
            shown = WindowView(window.begin, window.end) if window else None
            views.append(RangeNow(str(entry.range), name, window is not None and now in window, shown))
    return views


def _view(label: str, hold: Hold | None, schedules: tuple[str, ...], ranges: int) -> RoomView:
    if hold is None:
        return RoomView(label, "", None, None, schedules, ranges)
    return RoomView(label, "on" if hold.on else "off", hold.began, hold.until, schedules, ranges)
