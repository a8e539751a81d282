"""Whom a window wakes: once, also late if enough of it is left. Times are seconds after NOW."""

import pytest

from appliance.schedules.schedule import Window
from appliance.wake.at_start import LEAST_LEFT, LONGEST, ON_TIME, Beginning, beginning, to_ask
from services.ethernet import MacAddress

A, B, C = (MacAddress(0x525400AABB01 + number) for number in range(3))
NOW = 1_790_000_000.0


@pytest.mark.parametrize(
    ("begin", "end", "wakes"),
    [
        (0, 36000, True),
        (1, 36000, False),  # the next one
        (-36000, 0, False),
        (-3600, LEAST_LEFT, True),  # the server was off when it began
        (-3600, LEAST_LEFT - 1, False),
        (-ON_TIME, 60, True),  # a short one, on time
        (-ON_TIME - 1, 60, False),
        (-LONGEST, 36000, True),
        (-LONGEST - 1, 36000, False),
        (0, None, True),
        (-LONGEST - 1, None, False),  # it never ends, and has long begun
    ],
)
def test_when_a_window_wakes(begin: float, end: float | None, wakes: bool) -> None:
    window = Window(NOW + begin, None if end is None else NOW + end)
    assert beginning(window, "schedule night", NOW) == (Beginning(NOW + begin, "schedule night") if wakes else None)


def test_without_a_window_nobody_is_woken() -> None:
    assert beginning(None, "schedule night", NOW) is None


def test_each_pc_once_in_a_window() -> None:
    night, room = Beginning(NOW, "schedule night"), Beginning(NOW, "room 12")
    pcs = [(A, night), (B, night), (C, room), (MacAddress(1), None)]
    assert to_ask(pcs, {A: NOW - 86400}) == {"schedule night": [A, B], "room 12": [C]}
    assert to_ask(pcs, {A: NOW, B: NOW + 5, C: NOW - 1}) == {"room 12": [C]}
