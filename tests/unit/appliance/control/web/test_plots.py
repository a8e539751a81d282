"""Bars of figures."""

import pytest

from appliance.control.web.plots import HEIGHT, WIDTH, figure, plot, round_up

DAYS = [(f"2026-11-{day:02}", 0.0) for day in range(1, 31)]


@pytest.mark.parametrize(
    ("value", "top"),
    [(0, 1), (-5, 1), (0.3, 0.5), (1, 1), (1.01, 2), (7, 10), (99, 100), (4_999, 5_000), (60_000, 100_000)],
)
def test_the_upper_edge_is_a_round_figure(value: float, top: float) -> None:
    assert round_up(value) == pytest.approx(top)


def test_each_day_with_a_figure_has_a_bar_in_its_place() -> None:
    found = plot("Computing", "core-hours", [*DAYS[:10], ("2026-11-11", 40.0), *DAYS[11:29], ("2026-11-30", 80.0)])
    first, last = found.bars
    assert (first.x, first.height, first.y) == (120.0, 38.4, 57.6)
    assert (last.x, round(last.height, 1)) == (348.0, 76.8)
    assert last.x + last.width <= WIDTH
    assert last.y + last.height == HEIGHT
    assert first.words == "2026-11-11: 40 core-hours"
    assert found.summary == "Computing, 2026-11-01 to 2026-11-30: 120 core-hours in all, at most 80 a day"
    assert (found.top, found.total, found.first, found.last) == ("100", "120", "2026-11-01", "2026-11-30")


def test_days_without_figures_have_no_bars() -> None:
    found = plot("Credit", "cobblestones", DAYS)
    assert found.bars == ()
    assert found.total == "0"


@pytest.mark.parametrize(("value", "words"), [(0, "0"), (0.034, "0.034"), (3.44, "3.4"), (12_345.6, "12,346")])
def test_figures_in_words(value: float, words: str) -> None:
    assert figure(value) == words
