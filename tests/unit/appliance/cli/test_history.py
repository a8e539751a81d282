"""`history` as its user types it."""

import json
import time
from pathlib import Path

import pytest

from appliance.heartbeats import days
from appliance.heartbeats.days import Counted
from appliance.heartbeats.tally import DAY, DayTotal, Figures
from appliance.registry.database import Registry
from appliance.view.days import DayView, day_views, sum_of
from tests.unit.appliance.cli.program import Run
from tests.unit.appliance.cli.room_of_pcs import COMPUTES, IDLE, fill

TODAY = 20000


def day(value: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(value * DAY))


@pytest.fixture
def room(run: Run, tmp_path: Path) -> Run:
    path = tmp_path / "data" / "registry" / "registry.sqlite3"
    fill(path)
    assert run("allow", "add", str(COMPUTES), "--label", "room 12").returncode == 0
    today = int(time.time()) // DAY
    with Registry(path) as registry, registry.transaction():
        for mac, ago, seconds in ((COMPUTES, 2, 7200), (COMPUTES, 40, DAY), (IDLE, 2, 1800)):
            figures = Figures(seconds, 4 * seconds, seconds / 10)
            days.write(registry, [Counted(mac, {today - ago: figures}, frozenset({today - ago}), None)])
    return run


def test_the_days_of_all_pcs(room: Run) -> None:
    today = int(time.time()) // DAY
    done = room("history", "--days", "90")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "day (UTC)   PCs  hours on  core-hours  credit",
        f"{day(today - 40)}  1    24.0      96.0        8,640.0",
        f"{day(today - 2)}  2    2.5       10.0        900.0",
        "90 days     2    26.5      106.0       9,540.0",
    ]
    assert room("history").stdout.splitlines()[1:] == [f"{day(today - 2)}  2    2.5       10.0        900.0"]
    assert room("history", "--days", "1").stdout == "No PC was heard today.\n"


@pytest.mark.parametrize(
    ("pc", "hours"), [(str(COMPUTES), 2.0), ("Room 12", 2.0), (str(IDLE), 0.5), ("52:54:00:aa:bb:99", 0.0)]
)
def test_some_pcs_as_json(room: Run, pc: str, hours: float) -> None:
    found = json.loads(room("history", "--days", "3", "--pc", pc, "--json").stdout)
    assert [each["power_on_hours"] for each in found] == [hours, 0.0, 0.0]
    assert found[0] == {
        "day": day(int(time.time()) // DAY - 2), "pcs": int(hours > 0), "power_on_hours": hours,
        "core_hours": 4 * hours, "credit": 360 * hours,
    }  # fmt: skip


def test_a_room_that_nobody_knows(room: Run) -> None:
    done = room("history", "--pc", "room 99")
    assert (done.returncode, done.stdout) == (2, "")
    assert "neither a MAC address, nor a range, nor a label" in done.stderr


def test_days_without_figures_are_days_too() -> None:
    shown = day_views([DayTotal(TODAY, 2, 3600, 7200, 1.234)], TODAY - 1, TODAY)
    assert shown == [DayView("2024-10-03", 0, 0.0, 0.0, 0.0), DayView("2024-10-04", 2, 1.0, 2.0, 1.23)]
    assert sum_of(shown) == DayView("2 days", 2, 1.0, 2.0, 1.23)
    assert sum_of([]) == DayView("0 days", 0, 0.0, 0.0, 0.0)
