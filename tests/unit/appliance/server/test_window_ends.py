"""What PCs are told of their windows: worked out once for each, and again when it has passed."""

from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from appliance.config.file import Config, parse
from appliance.schedules.schedule import Schedule, Window
from appliance.server.window_ends import WindowEnds
from services.http.heartbeats import ToldWindow, WindowEnd

NIGHT = '[schedules.night]\nwindows = ["Mon-Fri 19:00-06:30"]\ntime_zone = "Europe/Berlin"\ngrace = 60\n'


def configured(more: str = "") -> Config:
    return parse(NIGHT + more, Path("c.toml"))


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Europe/Berlin")).timestamp()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The moments for which a schedule was asked."""
    moments: list[float] = []
    real = Schedule.window

    def window(self: Schedule, now: float) -> Window:
        moments.append(now)
        return real(self, now)

    monkeypatch.setattr(Schedule, "window", window)
    return moments


def test_the_window_that_is_open_or_else_the_next_one(asked: list[float]) -> None:
    ends = WindowEnds(configured())
    night = ToldWindow(at("2026-11-30 19:00"), at("2026-12-01 06:30"), 60, WindowEnd.OFF)
    noon, evening, last = at("2026-11-30 12:00"), at("2026-11-30 19:00"), at("2026-12-01 06:29:59")
    assert [ends.of("night", moment) for moment in (noon, evening, last)] == [night] * 3
    assert asked == [noon]
    following = ends.of("night", last + 1)
    assert following
    assert following.begin == at("2026-12-01 19:00")
    assert [ends.of("night", noon), len(asked)] == [night, 3], "the clock was set back"


@pytest.mark.parametrize(
    ("at_end", "action"),
    [("power off", WindowEnd.OFF), ("reboot to local disk", WindowEnd.DISK), ("suspend BOINC", WindowEnd.SUSPEND)],
)
def test_what_the_pc_does_at_the_end(at_end: str, action: WindowEnd) -> None:
    told = WindowEnds(configured(f'at_end = "{at_end}"\n')).of("night", at("2026-11-30 12:00"))
    assert told
    assert told.action is action


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("nihgt", ""),
        ("not a name", ""),
        ("night", 'at_end = "nothing"\n'),
        ("always", '[schedules.always]\nwindows = ["Mon-Sun"]\n'),
    ],
)
def test_nothing_to_tell(name: str, more: str, asked: list[float]) -> None:
    ends = WindowEnds(configured(more))
    assert [ends.of(name, moment) for moment in (0.0, 1e9, 2e9)] == [None] * 3
    assert len(asked) <= 1
