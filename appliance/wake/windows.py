"""The windows of all PCs at one moment, with what people have said of their rooms: which are open, and which wake.

Worked out once for all PCs with the same schedule and label. For one thread.
"""

from dataclasses import replace

from appliance.allowlist import Entry
from appliance.config.file import Config
from appliance.schedules.effective import effective_window
from appliance.schedules.hold import Hold, Holds
from appliance.schedules.schedule import Window
from appliance.wake.at_start import Beginning, beginning


class WindowsNow:
    """As they are at `now`, in seconds since the epoch, with these holds."""

    def __init__(self, config: Config, holds: list[Hold], now: float) -> None:
        self._config = config
        self._holds = Holds(holds)
        self._held = [each.label for each in holds if each.on]
        self._now = now
        self._known: dict[tuple[str, str], tuple[bool, Beginning | None]] = {}

    def any_begins(self) -> bool:
        """Whether there may be a PC to wake: most of the time there is none, and nobody looks at them all."""
        places = [(name, "") for name in self._config.schedules] + [("", label) for label in self._held]
        return any(self._of(*place)[1] for place in places)

    def open(self, entry: Entry) -> bool:
        """Whether the PCs of this range are to compute now."""
        return self._of(entry.settings.schedule, entry.label)[0]

    def beginning(self, entry: Entry) -> Beginning | None:
        """The beginning that wakes the PCs of this range now."""
        return self._of(entry.settings.schedule, entry.label)[1]

    def _of(self, name: str, label: str) -> tuple[bool, Beginning | None]:
        key = (name, label)
        if key not in self._known:
            self._known[key] = self._work_out(*key)
        return self._known[key]

    def _work_out(self, name: str, label: str) -> tuple[bool, Beginning | None]:
        settings, hold = self._config.schedule(name), self._holds.of(label, self._now)
        schedule = settings.schedule(self._config.time_zone) if settings else None
        window = effective_window(schedule, hold, self._now)
        is_open = window is not None and self._now in window
        if hold and hold.on:
            # Who switches a room on means its PCs, also those that went off by themselves since the window began.
            held = replace(window or Window(hold.began, hold.until), begin=hold.began)
            return is_open, beginning(held, f"room {hold.label}", self._now)
        wakes = settings is not None and settings.at_start == "wake"
        return is_open, beginning(window, f"schedule {name}", self._now) if wakes else None
