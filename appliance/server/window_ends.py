"""When the running box tells PCs that their time to compute ends.

A heartbeat costs a look into a dictionary: what a schedule says is worked out once for each of its windows.
"""

from dataclasses import dataclass

from appliance.config.file import Config
from services.http.heartbeats import ToldWindow, WindowEnd

_ACTIONS = {
    "power off": WindowEnd.OFF,
    "reboot to local disk": WindowEnd.DISK,
    "suspend BOINC": WindowEnd.SUSPEND,
}


@dataclass(frozen=True, slots=True)
class _Cached:
    """What PCs are told from `since` until `until`, in seconds since the epoch."""

    since: float
    until: float
    window: ToldWindow | None


_NOTHING = _Cached(float("-inf"), float("inf"), None)


class WindowEnds:
    """The windows of all schedules of one configuration."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._told: dict[str, _Cached] = {}

    def of(self, name: str, now: float) -> ToldWindow | None:
        """The window of this schedule that is open at `now`, in seconds since the epoch, or else the next one. None if
        it never ends, if nothing is to be done at its end, or if there is no such schedule."""
        told = self._told.get(name)
        # The clock may have been set back, too.
        if told is None or not told.since <= now < told.until:
            told = self._told[name] = self._work_out(name, now)
        return told.window

    def _work_out(self, name: str, now: float) -> _Cached:
        settings = self._config.schedule(name)
        if settings is None or (action := _ACTIONS.get(settings.at_end)) is None:
            return _NOTHING
        window = settings.schedule(self._config.time_zone).window(now)
        if window.end is None:
            return _NOTHING
        return _Cached(now, window.end, ToldWindow(window.begin, window.end, settings.grace, action))
