"""Windows that a person overrides, and which PCs get their own disk."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from appliance.schedules.effective import ALWAYS, EARLY, Outside, effective_window, ended_window, moment, outside
from appliance.schedules.hold import Hold, Holds
from appliance.schedules.schedule import Schedule, Window
from appliance.schedules.weekly import WeeklyWindow

BERLIN = ZoneInfo("Europe/Berlin")
NIGHT = Schedule((WeeklyWindow("Mon-Fri 19:00-06:30"),), BERLIN)


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).timestamp()


# A Monday.
NOON, EVENING, LATE = at("2026-11-30 12:00"), at("2026-11-30 19:00"), at("2026-11-30 23:00")
MORNING, NEXT_EVENING = at("2026-12-01 06:30"), at("2026-12-01 19:00")
TONIGHT = Window(EVENING, MORNING)


def held(on: bool, began: float, until: float | None = None) -> Hold:
    return Hold("room 12", on, began, until)


@pytest.mark.parametrize(
    ("hold", "now", "window"),
    [
        (None, NOON, TONIGHT),
        (None, LATE, TONIGHT),
        (held(True, NOON, at("2026-11-30 14:00")), NOON, Window(NOON, at("2026-11-30 14:00"))),
        (held(True, NOON, EVENING), NOON, Window(NOON, MORNING)),
        (held(True, NOON, LATE), at("2026-11-30 13:00"), Window(NOON, MORNING)),
        (held(True, NOON, LATE), LATE, TONIGHT),
        (held(True, LATE, at("2026-12-01 09:00")), LATE, Window(EVENING, at("2026-12-01 09:00"))),
        (held(True, LATE, NEXT_EVENING), MORNING, Window(EVENING, at("2026-12-02 06:30"))),
        (held(True, NOON), NOON, Window(NOON, None)),
        (held(True, NOON), NOON - 60, Window(NOON - 60, None)),
        (held(False, NOON, at("2026-11-30 14:00")), NOON, TONIGHT),
        (held(False, NOON, LATE), NOON, Window(LATE, MORNING)),
        (held(False, LATE, MORNING), LATE, Window(NEXT_EVENING, at("2026-12-02 06:30"))),
        (held(False, NOON), LATE, None),
        (held(False, NOON, LATE), LATE, TONIGHT),
    ],
)
def test_a_hold_wins_over_the_schedule(hold: Hold | None, now: float, window: Window | None) -> None:
    assert effective_window(NIGHT, hold, now) == window


@pytest.mark.parametrize(
    ("hold", "window"),
    [
        (None, ALWAYS),
        (held(True, NOON, LATE), ALWAYS),
        (held(False, NOON, LATE), Window(LATE, None)),
        (held(False, NOON), None),
    ],
)
def test_pcs_without_a_schedule(hold: Hold | None, window: Window | None) -> None:
    assert effective_window(None, hold, NOON) == window


def test_a_hold_over_the_change_of_clocks_ends_by_the_clock_on_the_wall() -> None:
    spring = at("2026-03-28 23:00")
    until = moment("07:00", spring, BERLIN)
    assert until - spring == 7 * 3600, "the night of an hour less"
    sunday = Schedule((WeeklyWindow("Sun 02:30-04:00"),), BERLIN)
    window = effective_window(sunday, held(False, spring, at("2026-03-29 03:30")), spring)
    assert window == Window(at("2026-03-29 03:30"), at("2026-03-29 04:00"))


def test_a_server_that_was_off_at_the_start_finds_the_window_open() -> None:
    assert LATE in (effective_window(NIGHT, held(True, NOON, EVENING + 1), LATE) or Window(0, 0))


@pytest.mark.parametrize(
    ("hold", "respite", "now", "why"),
    [
        (None, None, LATE, None),
        (None, None, NOON, Outside("it is outside its window", EVENING)),
        (None, None, EVENING - EARLY - 1, Outside("it is outside its window", EVENING)),
        (None, None, EVENING - EARLY, None),
        (None, None, MORNING - 1, None),
        (None, None, MORNING, Outside("it is outside its window", NEXT_EVENING)),
        (held(True, NOON, LATE), None, NOON, None),
        (held(False, LATE), None, LATE, Outside("its room is held off", None)),
        (held(False, NOON, at("2026-11-30 14:00")), None, NOON, Outside("its room is held off", EVENING)),
        (held(False, NOON, NOON + 600), None, NOON + 1, Outside("its room is held off", EVENING)),
        (held(False, LATE, LATE + 600), None, LATE + 1, Outside("its room is held off", LATE + 600)),
        (held(False, LATE, LATE + 600), None, LATE + 600, None),
        (None, LATE + 60, LATE, Outside("its owner took it back", LATE + 60)),
        (None, LATE, LATE, None),
    ],
)
def test_who_gets_the_own_disk(hold: Hold | None, respite: float | None, now: float, why: Outside | None) -> None:
    assert outside(NIGHT, hold, respite, now) == why


def test_a_pc_without_a_schedule_gets_the_live_system_at_any_time() -> None:
    assert outside(None, None, None, NOON) is None
    assert outside(None, None, NOON + 1, NOON) == Outside("its owner took it back", NOON + 1)


@pytest.mark.parametrize(
    ("hold", "booted", "now", "ended"),
    [
        (None, MORNING - 60, MORNING + 120, MORNING),
        (None, LATE, NEXT_EVENING - 1, MORNING),
        (None, LATE, at("2026-12-02 12:00"), None),
        (None, NOON, at("2026-11-30 13:00"), None),
        (held(True, NOON, at("2026-11-30 14:00")), NOON + 1, at("2026-11-30 14:01"), at("2026-11-30 14:00")),
        (held(True, NOON, at("2026-11-30 14:00")), at("2026-11-30 14:01"), at("2026-11-30 14:02"), None),
        (held(True, LATE, at("2026-12-01 09:00")), LATE, at("2026-12-01 09:01"), at("2026-12-01 09:00")),
    ],
)
def test_a_window_that_ended_under_a_pc_that_is_on(
    hold: Hold | None, booted: float, now: float, ended: float | None
) -> None:
    assert ended_window(NIGHT, hold, booted, now) == ended


@pytest.mark.parametrize(
    ("text", "when"),
    [
        ("Mon 13:00", "2026-11-30 13:00"),
        ("mon 12:00", "2026-12-07 12:00"),
        ("Monday, 07:00", "2026-12-07 07:00"),
        ("13:00", "2026-11-30 13:00"),
        ("7:00", "2026-12-01 07:00"),
        ("2026-12-24 07:00", "2026-12-24 07:00"),
        ("2026-12-24", "2026-12-24 00:00"),
        ("8h", "2026-11-30 20:00"),
        ("90min", "2026-11-30 13:30"),
        ("2 d", "2026-12-02 12:00"),
    ],
)
def test_moments_as_people_write_them(text: str, when: str) -> None:
    assert moment(text, NOON, BERLIN) == at(when)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("tomorrow", 'write "Mon 07:00"'),
        ("", "write"),
        ("25:00", "write"),
        ("0h", "write"),
        ("2026-12-24T07:00+00:00", "write"),
        ("2026-11-30 11:59", "is past"),
        ("2027-12-24", "more than a year away"),
        ("9999d", "more than a year away"),
    ],
)
def test_moments_that_nobody_can_mean(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        moment(text, NOON, BERLIN)


def test_capitals_of_a_label_do_not_matter() -> None:
    hold = held(False, NOON, LATE)
    holds = Holds([hold])
    assert holds.of("ROOM 12", NOON) == hold
    assert holds.of("room 13", NOON) is None
    assert holds.of("", NOON) is None
    assert holds.of("room 12", LATE) is None, "it is over"
