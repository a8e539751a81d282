"""What PCs are told of their windows: worked out once for each, and again when it has passed."""

from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from appliance.allowlist import BootSettings, Entry
from appliance.config.file import Config, parse
from appliance.schedules.hold import Hold, Holds
from appliance.schedules.schedule import Schedule, Window
from appliance.server.window_ends import WindowEnds
from services.ethernet import MacAddress, MacRange
from services.http.heartbeats import ToldWindow, WindowEnd

NIGHT = '[schedules.night]\nwindows = ["Mon-Fri 19:00-06:30"]\ntime_zone = "Europe/Berlin"\ngrace = 60\n'


ENTRY = Entry(MacRange.parse("52:54:00:*"), "room 12", BootSettings(schedule="night"))
FREE = Entry(MacRange.parse("52:54:01:*"), "room 12")
BOOTED = 0.0


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
    assert [ends.of(ENTRY, BOOTED, moment) for moment in (noon, evening, last)] == [night] * 3
    assert [moment for moment in asked if moment > BOOTED + 86400] == [noon]
    following = ends.of(ENTRY, BOOTED, last + 1)
    assert following
    assert following.begin == at("2026-12-01 19:00")
    assert ends.of(ENTRY, BOOTED, noon) == night, "the clock was set back"


@pytest.mark.parametrize(
    ("at_end", "action"),
    [("power off", WindowEnd.OFF), ("reboot to local disk", WindowEnd.DISK), ("suspend BOINC", WindowEnd.SUSPEND)],
)
def test_what_the_pc_does_at_the_end(at_end: str, action: WindowEnd) -> None:
    told = WindowEnds(configured(f'at_end = "{at_end}"\n')).of(ENTRY, BOOTED, at("2026-11-30 12:00"))
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
    entry = Entry(ENTRY.range, "", BootSettings(schedule=name))
    assert [ends.of(entry, BOOTED, moment) for moment in (0.0, 1e9, 2e9)] == [None] * 3
    assert len(asked) <= 1


def test_a_room_that_is_held_off_ends_the_boots_of_before_and_no_later_ones() -> None:
    ends, noon = WindowEnds(configured()), at("2026-11-30 12:00")
    ends.follow(Holds([Hold("room 12", False, noon, at("2026-12-02 12:00"))]), {})
    over = ToldWindow(noon - 1, noon, 60, WindowEnd.OFF)
    assert ends.of(ENTRY, noon - 100, noon + 5) == over
    assert ends.of(FREE, noon - 100, noon + 5) == ToldWindow(noon - 1, noon, 600, WindowEnd.OFF)
    by_hand = ends.of(ENTRY, noon + 1, noon + 5)
    assert by_hand
    assert by_hand.begin == at("2026-12-02 19:00"), "somebody started it for a boot of its own"
    assert ends.of(FREE, noon + 1, noon + 5) is None
    ends.follow(Holds(), {})
    again = ends.of(ENTRY, noon - 100, noon + 5)
    assert again
    assert again.begin == at("2026-11-30 19:00")


def test_a_room_that_is_held_on_computes_until_then() -> None:
    ends, noon = WindowEnds(configured()), at("2026-11-30 12:00")
    ends.follow(Holds([Hold("room 12", True, noon, at("2026-11-30 14:00"))]), {})
    told = [ends.of(ENTRY, BOOTED, noon + seconds) for seconds in (5, 7199)]
    assert told == [ToldWindow(noon, at("2026-11-30 14:00"), 60, WindowEnd.OFF)] * 2
    by_hand = ends.of(ENTRY, noon + 7200, noon + 7200)
    assert by_hand == ToldWindow(at("2026-11-30 19:00"), at("2026-12-01 06:30"), 60, WindowEnd.OFF)
    assert ends.of(FREE, BOOTED, noon) is None


def test_a_pc_that_did_not_hear_of_the_end_of_its_window_is_told_of_it() -> None:
    ends = WindowEnds(configured())
    booted, heard = at("2026-12-01 06:29"), at("2026-12-01 06:32")
    over = ToldWindow(at("2026-12-01 06:30") - 1, at("2026-12-01 06:30"), 60, WindowEnd.OFF)
    assert ends.of(ENTRY, booted, heard) == over
    by_hand = ends.of(ENTRY, heard - 60, heard)
    assert by_hand
    assert by_hand.begin == at("2026-12-01 19:00"), "somebody started it later"


def test_a_room_that_was_held_on_is_given_back_when_it_is_released() -> None:
    ends, noon = WindowEnds(configured()), at("2026-11-30 12:00")
    ends.follow(Holds([Hold("room 12", True, noon, noon + 3600)]), {})
    assert ends.of(ENTRY, noon + 10, noon + 3660) == ToldWindow(noon + 3599, noon + 3600, 60, WindowEnd.OFF)
    assert ends.of(FREE, noon + 10, noon + 3660) is None, "it computes at any time"


def test_which_pcs_get_their_own_disk() -> None:
    ends, noon, mac = WindowEnds(configured()), at("2026-11-30 12:00"), MacAddress.parse("52:54:00:00:00:01")
    found = ends.outside(mac, ENTRY, noon)
    assert found
    assert found.why == "it is outside its window"
    assert ends.outside(mac, FREE, noon) is None
    assert ends.outside(mac, ENTRY, at("2026-11-30 20:00")) is None
    ends.follow(Holds(), {mac: noon + 60})
    taken = ends.outside(mac, FREE, noon)
    assert taken
    assert taken.why == "its owner took it back"
    lost = Entry(ENTRY.range, "", BootSettings(schedule="gone"))
    ends.follow(Holds(), {})
    assert ends.outside(mac, lost, noon) is None, "the configuration has lost its schedule"
