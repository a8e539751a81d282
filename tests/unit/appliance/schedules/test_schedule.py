"""Which window is open when: over midnight, joined, on holidays, and while clocks are changed."""

import itertools
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.schedules.schedule import Schedule, Window
from appliance.schedules.weekly import DAYS, WeeklyWindow

BERLIN = ZoneInfo("Europe/Berlin")
MINUTE, HOUR = 60.0, 3600.0
# 2026-11-30 is a Monday. Clocks change on 2026-03-29 at 02:00 and on 2026-10-25 at 03:00.


def schedule(*windows: str, holidays: tuple[str, ...] = (), zone: ZoneInfo = BERLIN) -> Schedule:
    dates = frozenset(map(date.fromisoformat, holidays))
    return Schedule(tuple(map(WeeklyWindow, windows)), zone, dates)


def at(text: str, zone: ZoneInfo = BERLIN, fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).timestamp()


def shown(window: Window, zone: ZoneInfo = BERLIN) -> tuple[str, str]:
    ends = "never" if window.end is None else f"{datetime.fromtimestamp(window.end, zone):%a %d %H:%M}"
    return f"{datetime.fromtimestamp(window.begin, zone):%a %d %H:%M}", ends


NIGHTS = schedule("Mon-Fri 19:00-06:30", "Sat-Sun")


@pytest.mark.parametrize(
    ("now", "begin", "end"),
    [
        ("2026-11-30 12:00", "Mon 30 19:00", "Tue 01 06:30"),
        ("2026-11-30 19:00", "Mon 30 19:00", "Tue 01 06:30"),
        ("2026-12-01 02:00", "Mon 30 19:00", "Tue 01 06:30"),
        ("2026-12-01 06:29:59", "Mon 30 19:00", "Tue 01 06:30"),
        ("2026-12-01 06:30", "Tue 01 19:00", "Wed 02 06:30"),
        # The night of Friday and the weekend touch; Sunday's window ends with the day.
        ("2026-12-04 18:00", "Fri 04 19:00", "Mon 07 00:00"),
        ("2026-12-06 23:59", "Fri 04 19:00", "Mon 07 00:00"),
        ("2026-12-07 00:00", "Mon 07 19:00", "Tue 08 06:30"),
    ],
)
def test_nights_and_weekends(now: str, begin: str, end: str) -> None:
    window = NIGHTS.window(at(now))
    assert shown(window) == (begin, end)
    assert (at(now) in window) == (at(now) >= window.begin)


def test_windows_that_overlap_are_one_and_those_with_a_gap_are_two() -> None:
    both = schedule("Mon 08:00-10:00", "Mon 09:00-12:00", "Mon 12:00-13:00", "Mon 13:01-14:00", "Mon 08:30-08:40")
    found = [shown(each) for each in itertools.islice(both.upcoming(at("2026-11-30 00:00")), 3)]
    assert found[:2] == [("Mon 30 08:00", "Mon 30 13:00"), ("Mon 30 13:01", "Mon 30 14:00")]
    assert found[2] == ("Mon 07 08:00", "Mon 07 13:00")


def test_a_holiday_is_a_day_with_a_window_that_is_the_whole_day() -> None:
    christmas = schedule("Mon-Fri 19:00-06:30", holidays=("2026-12-24", "2026-12-25", "2026-01-01"))
    # Thursday and Friday, from the night before on; the night that begins on Friday is there as well.
    assert shown(christmas.window(at("2026-12-24 12:00"))) == ("Wed 23 19:00", "Sat 26 06:30")
    assert shown(schedule("Sun 10:00-11:00", holidays=("2026-12-25",)).window(at("2026-12-22 12:00"))) == (
        "Fri 25 00:00",
        "Sat 26 00:00",
    )


@pytest.mark.parametrize(
    "windows",
    [
        ("Mon-Sun",),
        ("00:00-24:00",),
        ("Mon-Fri", "Sat 00:00-12:00", "Sat-Sun 11:00-10:00", "Sun"),
        ("12:00-11:59", "11:00-12:30"),
    ],
)
def test_a_schedule_without_a_gap_never_ends(windows: tuple[str, ...]) -> None:
    window = schedule(*windows).window(at("2026-11-30 12:00"))
    assert window.end is None
    assert at("2026-11-30 12:00") in window
    assert at("2036-11-30 12:00") in window


def test_a_minute_without_a_window_is_an_end() -> None:
    assert shown(schedule("12:00-11:59").window(at("2026-11-30 12:00")))[1] == "Tue 01 11:59"


def test_holidays_that_fill_every_gap_end_when_they_do() -> None:
    days = tuple(str(date(2026, 11, 30) + timedelta(n)) for n in range(30))
    assert shown(schedule("Sat-Sun", holidays=days).window(at("2026-12-02 12:00"))) == ("Sat 28 00:00", "Wed 30 00:00")


@pytest.mark.parametrize(
    ("window", "now", "begin", "end", "hours"),
    [
        # Clocks are put forward: the night is an hour shorter.
        ("Sat 19:00-06:30", "2026-03-28 12:00", "Sat 28 19:00", "Sun 29 06:30", 10.5),
        # 02:30 is never shown: it is 03:00, the moment of the change.
        ("Sat 19:00-02:30", "2026-03-28 12:00", "Sat 28 19:00", "Sun 29 03:00", 7),
        ("Sun 02:30-04:00", "2026-03-28 12:00", "Sun 29 03:00", "Sun 29 04:00", 1),
        # Clocks are put back: the night is an hour longer.
        ("Sat 19:00-06:30", "2026-10-24 12:00", "Sat 24 19:00", "Sun 25 06:30", 12.5),
        # 02:30 is shown twice: the first time counts.
        ("Sat 19:00-02:30", "2026-10-24 12:00", "Sat 24 19:00", "Sun 25 02:30", 7.5),
        ("Sun 02:30-04:00", "2026-10-24 12:00", "Sun 25 02:30", "Sun 25 04:00", 2.5),
    ],
)
def test_clocks_that_change(window: str, now: str, begin: str, end: str, hours: float) -> None:
    found = schedule(window).window(at(now))
    assert shown(found) == (begin, end)
    assert found.end is not None
    assert found.end - found.begin == hours * HOUR


def test_a_window_that_lies_in_an_hour_that_never_is_shown_does_not_happen() -> None:
    assert shown(schedule("Sun 02:10-02:50").window(at("2026-03-28 12:00"))) == ("Sun 05 02:10", "Sun 05 02:50")


def test_after_its_first_end_an_hour_that_is_shown_again_opens_no_window() -> None:
    found = schedule("Sun 01:00-02:30").window(at("2026-10-25 02:45"))
    again = schedule("Sun 01:00-02:30").window(at("2026-10-25 02:15", fold=1))
    assert found == again
    assert shown(found) == ("Sun 01 01:00", "Sun 01 02:30")


def test_a_whole_day_that_a_country_skipped() -> None:
    """Samoa went over the date line: Thursday 2011-12-29 was followed by Saturday."""
    apia = ZoneInfo("Pacific/Apia")
    found = schedule("Fri", zone=apia).window(at("2011-12-28 12:00", apia))
    assert shown(found, apia) == ("Fri 06 00:00", "Sat 07 00:00")
    evening = schedule("Thu 19:00-06:30", zone=apia).window(at("2011-12-28 12:00", apia))
    assert shown(evening, apia) == ("Thu 29 19:00", "Sat 31 00:00")


TIMES = st.integers(0, 1440).map(lambda minutes: minutes // 5 * 5)
WEEKLY = st.tuples(st.sampled_from(DAYS), st.sampled_from(DAYS), TIMES, TIMES).filter(
    lambda each: each[2] < 1440 and each[2] != each[3]
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(WEEKLY, min_size=1, max_size=4),
    st.frozensets(st.integers(0, 13), max_size=3),
    # The Mondays before the changes of clocks in Berlin, New York and on Lord Howe (by half an hour), and others.
    st.sampled_from(["2026-03-23", "2026-10-19", "2026-03-02", "2026-10-26", "2026-03-30", "2026-09-28", "2026-06-01"]),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"]),
    st.integers(0, 10079),
)
def test_as_a_clock_that_is_watched_for_a_fortnight(
    windows: list[tuple[str, str, int, int]], holidays: frozenset[int], monday: str, zone_name: str, minute: int
) -> None:
    """The oracle looks at the clock on the wall every five minutes, since all times are multiples of that. One that is
    put back is believed again once it shows a time that it has not shown before."""
    zone, first = ZoneInfo(zone_name), date.fromisoformat(monday)
    texts = [f"{a}-{b} {s // 60:02}:{s % 60:02}-{e // 60:02}:{e % 60:02}" for a, b, s, e in windows]
    dates = {first + timedelta(day) for day in holidays}
    free = set()
    for day in (first + timedelta(n) for n in range(-10, 22)):
        midnight = datetime.combine(day, time())
        if day in dates:
            free |= {midnight + timedelta(minutes=m) for m in range(0, 1440, 5)}
        for weekly in map(WeeklyWindow, texts):
            if day.weekday() in weekly.days:
                free |= {midnight + timedelta(minutes=m) for m in range(weekly.start, weekly.end, 5)}
    begin = datetime.combine(first, time(), tzinfo=zone).timestamp()
    open_at, latest = [], datetime.min  # noqa: DTZ901 - what clocks show
    for n in range(14 * 1440 // 5):
        latest = max(latest, datetime.fromtimestamp(begin + n * 5 * MINUTE, zone).replace(tzinfo=None))
        open_at.append(latest in free)
    made = Schedule(tuple(map(WeeklyWindow, texts)), zone, frozenset(dates))
    now = begin + minute * MINUTE
    found = made.window(now)
    at_now = minute // 5
    assert (now in found) == open_at[at_now]
    last = len(open_at) if found.end is None else min(len(open_at), round((found.end - begin) / MINUTE / 5))
    opened = max(at_now, round((found.begin - begin) / MINUTE / 5))
    assert all(open_at[opened:last])
    assert not any(open_at[at_now:opened])
    assert last == len(open_at) or not open_at[last]
