"""When the running box tells PCs that their time to compute ends, and which PCs get their own disk now.

A heartbeat costs a look into a dictionary: what a schedule and a hold say is worked out once for each of their windows.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from appliance.allowlist import Entry
from appliance.boot.windows import outside_of, schedule_of
from appliance.config.file import Config
from appliance.config.schedules import ScheduleSettings
from appliance.schedules.effective import Outside, effective_window, ended_window
from appliance.schedules.hold import Hold, Holds
from services.ethernet import MacAddress
from services.http.heartbeats import ToldWindow, WindowEnd

_ACTIONS = {
    "power off": WindowEnd.OFF,
    "reboot to local disk": WindowEnd.DISK,
    "suspend BOINC": WindowEnd.SUSPEND,
}
_UNSCHEDULED = ScheduleSettings.at_end, ScheduleSettings.grace
"""What PCs without a schedule do when their room is held off."""


@dataclass(frozen=True, slots=True)
class _Cached:
    """What PCs are told from `since` until `until`, in seconds since the epoch."""

    since: float
    until: float
    window: ToldWindow | None


class WindowEnds:
    """The windows of all schedules of one configuration, under the holds and respites of the moment."""

    def __init__(
        self, config: Config, holds: Holds | None = None, respites: Mapping[MacAddress, float] | None = None
    ) -> None:
        self._config = config
        self._holds = holds or Holds()
        self._respites = respites or {}
        self._told: dict[tuple[str, Hold | None], _Cached] = {}

    def follow(self, holds: Holds, respites: Mapping[MacAddress, float]) -> None:
        """Take what a person, or a PC's owner, has said since."""
        self._holds, self._respites = holds, respites
        self._told.clear()

    def of(self, entry: Entry, booted: float, now: float) -> ToldWindow | None:
        """The window of a PC that this entry allows, and that was switched on at `booted`: the one that is open at
        `now`, or else the next one. For a PC that was on when its room was held off, or in a window that has ended
        since, the one that ended: it may not have heard of that. None if the PC computes until somebody says otherwise.
        Moments are in seconds since the epoch."""
        hold = self._holds.of(entry.label, now)
        name = entry.settings.schedule
        if hold is None and not name:
            return None
        if hold is not None and not hold.on and booted < hold.began:
            action, grace = self._end(name)
            return ToldWindow(hold.began - 1, hold.began, grace, action)
        told = self._told.get((name, hold))
        # The clock may have been set back, too.
        if told is None or not told.since <= now < told.until:
            told = self._told[name, hold] = self._work_out(name, hold, now)
        if told.window and now < told.window.begin:
            ended = ended_window(schedule_of(self._config, name), self._holds.last(entry.label), booted, now)
            if ended is not None:
                action, grace = self._end(name)
                return ToldWindow(ended - 1, ended, grace, action)
        return told.window

    def outside(self, mac: MacAddress, entry: Entry, now: float) -> Outside | None:
        """Why this PC, which the entry allows, gets its own disk at `now`; None if it gets the live system."""
        return outside_of(self._config, entry, self._holds.of(entry.label, now), self._respites.get(mac), now)

    def _end(self, name: str) -> tuple[WindowEnd, int]:
        """What PCs do when somebody ends their window, and the grace."""
        settings = self._config.schedule(name)
        at_end, grace = (settings.at_end, settings.grace) if settings else _UNSCHEDULED
        return _ACTIONS.get(at_end, WindowEnd.OFF), grace

    def _work_out(self, name: str, hold: Hold | None, now: float) -> _Cached:
        settings = self._config.schedule(name)
        until = float("inf") if hold is None or hold.until is None else hold.until
        window = effective_window(schedule_of(self._config, name), hold, now)
        if settings is None or window is None or window.end is None or settings.at_end == "nothing":
            return _Cached(now if hold else float("-inf"), until, None)
        action, grace = self._end(name)
        return _Cached(now, min(until, window.end), ToldWindow(window.begin, window.end, grace, action))
