"""The windows of all PCs at one moment, with what people have said of their rooms: which are open, and which wake.

Worked out once for all PCs with the same schedule and label. For one thread.
"""

from appliance.allowlist import Entry
from appliance.config.file import Config
from appliance.wake.at_start import Beginning, beginning


class WindowsNow:
    """As they are at `now`, in seconds since the epoch."""

    def __init__(self, config: Config, now: float) -> None:
        self._config = config
        self._now = now
        self._known: dict[tuple[str, str], tuple[bool, Beginning | None]] = {}

    def any_begins(self) -> bool:
        """Whether there may be a PC to wake: most of the time there is none, and nobody looks at them all."""
        return any(self._work_out(name, "")[1] for name in self._config.schedules)

    def open(self, entry: Entry) -> bool:
        """Whether the PCs of this range are to compute now."""
        return self._of(entry)[0]

    def beginning(self, entry: Entry) -> Beginning | None:
        """The beginning that wakes the PCs of this range now."""
        return self._of(entry)[1]

    def _of(self, entry: Entry) -> tuple[bool, Beginning | None]:
        key = (entry.settings.schedule, entry.label)
        if key not in self._known:
            self._known[key] = self._work_out(*key)
        return self._known[key]

    def _work_out(self, name: str, label: str) -> tuple[bool, Beginning | None]:
        settings = self._config.schedule(name)
        if settings is None:
            # PCs without one compute at any time.
            return True, None
        window = settings.schedule(self._config.time_zone).window(self._now)
        wakes = settings.at_start == "wake"
        return self._now in window, beginning(window, f"schedule {name}", self._now) if wakes else None
