"""Parts of a week, as people write them."""

import pytest

from appliance.schedules.weekly import WeeklyWindow


@pytest.mark.parametrize(
    ("text", "days", "start", "end"),
    [
        ("Mon-Fri 19:00-06:30", {0, 1, 2, 3, 4}, 19 * 60, 30 * 60 + 30),
        ("Sat-Sun", {5, 6}, 0, 24 * 60),
        ("fri-mon", {4, 5, 6, 0}, 0, 24 * 60),
        ("Mon,Wed 12:00-14:00", {0, 2}, 720, 840),
        ("MON,thu-FRI 9:05-24:00", {0, 3, 4}, 545, 1440),
        ("22:00-06:00", set(range(7)), 22 * 60, 30 * 60),
        ("Mon-Sun", set(range(7)), 0, 1440),
        ("Sun-Sun 00:00-00:01", {6}, 0, 1),
    ],
)
def test_what_is_meant(text: str, days: set[int], start: int, end: int) -> None:
    window = WeeklyWindow(text)
    assert (str(window), set(window.days), window.start, window.end) == (text, days, start, end)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", 'write "Mon-Fri 19:00-06:30"'),
        ("Mo-Fr 19:00-06:30", 'write "Mon-Fri'),
        ("Mon- 19:00-06:30", 'write "Mon-Fri'),
        ("Mon, Wed 12:00-14:00", 'write "Mon-Fri'),
        ("Mon 19:00 - 06:30", 'write "Mon-Fri'),
        ("19:00-06:30 Mon", 'write "Mon-Fri'),
        ("Mon Tue", 'write "Mon-Fri'),
        ("Mon 7pm-8pm", 'write "Mon-Fri'),
        ("Mon 19:60-20:00", 'write "Mon-Fri'),
        ("Mon 24:00-06:00", "a day ends at 24:00"),
        ("Mon 19:00-24:30", "a day ends at 24:00"),
        ("Mon 12:00-12:00", "ends when it begins"),
    ],
)
def test_what_is_not_understood(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        WeeklyWindow(text)
    assert repr(text) in str(caught.value)
