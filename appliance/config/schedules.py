"""[schedules.NAME]: when the PCs of a range compute, and what they do when that time ends."""

import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from appliance.schedules.schedule import Schedule
from appliance.schedules.weekly import WeeklyWindow
from services.linux import time_zone

MOST_SCHEDULES = 64
MOST_WINDOWS = 64
MOST_HOLIDAYS = 1000
LARGEST_FILE = 64 << 10
"""Bytes of a file of holidays."""
LONGEST_GRACE = 86400
"""Seconds."""
LONGEST_RESPITE = 7 * 86400
"""Seconds."""


class HolidayFile(str):
    """The path of a file of dates, one a line, which is read when the configuration is. Raises ValueError."""

    __slots__ = ("dates",)
    dates: tuple[datetime.date, ...]

    def __new__(cls, path: str) -> Self:
        """Read the file and check it."""
        new = super().__new__(cls, path)
        new.dates = _dates(Path(path))
        return new


def _dates(path: Path) -> tuple[datetime.date, ...]:
    if not path.is_absolute():
        raise ValueError('write a list of dates, as in ["2026-12-24"], or the absolute path of a file')
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}; the service needs to read it too") from None
    if len(content) > LARGEST_FILE:
        raise ValueError(f"has more than {LARGEST_FILE // 1024} kB")
    found = []
    for number, line in enumerate(content.decode("utf-8", errors="replace").splitlines(), 1):
        if word := line.split("#", 1)[0].strip():
            try:
                found.append(datetime.date.fromisoformat(word))
            except ValueError:
                raise ValueError(f"line {number}: write a date as 2026-12-24, and comments after #") from None
    return tuple(found)


@dataclass(frozen=True)
class ScheduleSettings:
    """One schedule. `time_zone` is a name of tzdata, or empty: as for the PCs. `at_start`: whether the box switches its
    PCs on at the beginning of a window. `at_end` is what PCs do at the end of one, after at most `grace` seconds in
    which they finish their work. For `respite` seconds the box leaves a PC alone that its owner took back."""

    windows: tuple[WeeklyWindow, ...] = ()
    time_zone: str = ""
    holidays: HolidayFile | tuple[datetime.date, ...] = ()
    at_start: Literal["wake", "nothing"] = "nothing"
    at_end: Literal["power off", "reboot to local disk", "suspend BOINC", "nothing"] = "power off"
    grace: int = 600
    respite: int = 3600

    def __post_init__(self) -> None:
        if not 1 <= len(self.windows) <= MOST_WINDOWS:
            raise ValueError(f'windows: write 1 to {MOST_WINDOWS}, as in windows = ["Mon-Fri 19:00-06:30", "Sat-Sun"]')
        time_zone.check(self.time_zone)
        if len(self.dates) > MOST_HOLIDAYS:
            raise ValueError(f"holidays: at most {MOST_HOLIDAYS} days")
        if not 0 <= self.grace <= LONGEST_GRACE:
            raise ValueError(f"grace: must be from 0 to {LONGEST_GRACE} seconds")
        if not 0 <= self.respite <= LONGEST_RESPITE:
            raise ValueError(f"respite: must be from 0 to {LONGEST_RESPITE} seconds")

    @property
    def dates(self) -> tuple[datetime.date, ...]:
        """The holidays, wherever they are written."""
        return self.holidays.dates if isinstance(self.holidays, HolidayFile) else self.holidays

    def schedule(self, default_zone: str) -> Schedule:
        """What the settings mean, with the `default_zone` for a schedule that names none; empty: UTC."""
        # Imported only here: root's helper reads the configuration too, and a PC waits for it.
        from zoneinfo import ZoneInfo  # noqa: PLC0415

        zone = self.time_zone or default_zone
        return Schedule(self.windows, ZoneInfo(zone) if zone else datetime.UTC, frozenset(self.dates))
