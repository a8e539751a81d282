"""What is too old is deleted in small steps, and whatever ends a step, the registry is whole."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from appliance.config.history import HistorySettings
from appliance.heartbeats import days
from appliance.heartbeats.days import Counted
from appliance.heartbeats.tally import Figures
from appliance.journal import history
from appliance.registry import retention
from appliance.registry.database import Registry
from appliance.registry.records import BootRow
from appliance.registry.retention import ROUND_EVERY, Retention
from services.ethernet import MacAddress
from tests.fakes import fleet

DAY = 86400.0


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with Registry(tmp_path / "registry.sqlite3", durable=False) as registry:
        yield registry


class Turns:
    """A retention whose clock stands still, so that one turn does all that is due."""

    def __init__(self, registry: Registry, **settings: int) -> None:
        self.registry = registry
        self.kept = HistorySettings(**settings)
        self.now = 0.0
        self.retention = Retention(lambda: self.kept, lambda: self.now)

    def __call__(self, later: float = 1.0) -> None:
        self.now += later
        self.retention.turn(self.registry)


def shape(registry: Registry, number: int) -> str:
    """A PC's boots, oldest first: E with events, s with a state alone."""
    rows = registry.boots(fleet.mac_of(number))
    assert all(row.state for row in rows)
    return "".join("E" if registry.events(row.id) else "s" for row in rows)


def count_days(registry: Registry, *numbers: int, pcs: int = 1) -> None:
    with registry.transaction():
        for day in numbers:
            figures = {day: Figures(60, 60, 1.0)}
            days.write(registry, [Counted(MacAddress(n), figures, frozenset({day}), None) for n in range(pcs)])


def test_old_boots_lose_their_events_and_older_ones_go(registry: Registry) -> None:
    fleet.fill(registry, 3, 12)
    before = history.history(registry, fleet.mac_of(1), most=12)
    turns = Turns(registry, boots=7, events=2)
    assert shape(registry, 1) == 12 * "E"
    turns()
    assert [shape(registry, number) for number in range(3)] == ["sssssEE"] * 3
    assert history.history(registry, fleet.mac_of(1)) == before[5:], "what became of them is known as before"
    registry.check()


def test_a_boot_that_has_just_begun_makes_room_at_once(registry: Registry) -> None:
    fleet.fill(registry, 2, 3)
    turns = Turns(registry, boots=3, events=2)
    turns()
    mac = fleet.mac_of(0)
    registry.open_boot(BootRow(100, mac, 1.8e9, "t", "r", ""))
    registry.append_events([(100, 1.8e9, "ScriptServed", "{}")])
    turns()
    assert [row.id for row in registry.boots(mac)] == [3, 5, 100]
    assert [bool(registry.events(boot)) for boot in (3, 5, 100)] == [False, True, True]


def test_what_an_earlier_server_left_is_found_within_the_hour(registry: Registry) -> None:
    turns = Turns(registry, boots=2, events=1)
    turns()
    fleet.fill(registry, 2, 3)
    turns.retention._last_boot = 10_000  # nobody has told it of these
    turns()
    assert shape(registry, 0) == "EEE", "it rests"
    turns(ROUND_EVERY)
    assert [shape(registry, number) for number in range(2)] == ["sE", "sE"]


def test_a_turn_is_short_and_the_next_one_goes_on(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet.fill(registry, 2, 10)
    left = []
    ticks = iter(range(100_000))
    monkeypatch.setattr(retention, "_AT_ONCE", 20)
    turns = Retention(lambda: HistorySettings(4, 2, 30), lambda: float(next(ticks)))
    for _ in range(100):
        turns.turn(registry)
        left.append(registry.sql.execute("SELECT count(*) FROM events").fetchone()[0])
        held = shape(registry, 0)
        assert held == "s" * held.count("s") + "E" * held.count("E"), "the oldest go first"
    steps = [before - after for before, after in pairwise(left) if before != after]
    assert steps
    assert max(steps) <= 20
    assert [shape(registry, number) for number in range(2)] == ["ssEE", "ssEE"]


def test_days_are_counted_and_no_clock_that_was_wrong_deletes_any(registry: Registry) -> None:
    count_days(registry, 10, 11, 14, 30_000, pcs=3)
    turns = Turns(registry, days=4)
    turns()
    assert [each.day for each in days.totals(registry, 0, days.LAST)] == [10, 11, 14, 30_000]
    count_days(registry, 15)
    turns()
    assert [each.day for each in days.totals(registry, 0, days.LAST)] == [11, 14, 15, 30_000]
    assert registry.sql.execute("SELECT count(*) FROM days WHERE day = 10").fetchone() == (0,)


def test_boots_before_the_days_that_are_kept_go_except_for_the_last(registry: Registry) -> None:
    now = 20_000 * DAY + 50_000
    fleet.fill(registry, 1, 12, now)
    turns = Turns(registry, boots=400, events=2, days=5)
    count_days(registry, *range(19_990, 20_000))
    turns()
    assert shape(registry, 0) == "s" * 4 + "EE"
    count_days(registry, *range(21_000, 21_100))
    turns(ROUND_EVERY)
    assert shape(registry, 0) == "EE", "a PC that was away for long"


def test_a_setting_is_lowered_and_raised(registry: Registry) -> None:
    fleet.fill(registry, 1, 6)
    turns = Turns(registry, boots=6, events=6)
    turns()
    turns.kept = HistorySettings(6, 1, 400)
    turns(ROUND_EVERY)
    assert shape(registry, 0) == "sssssE"
    turns.kept = HistorySettings(6, 6, 400)
    turns(ROUND_EVERY)
    assert shape(registry, 0) == "sssssE", "what is gone stays so"


KILLED = """
import sys
from pathlib import Path
from appliance.config.history import HistorySettings
from appliance.registry.database import Registry
from appliance.registry.retention import Retention
with Registry(Path(sys.argv[1]), durable=False) as registry:
    retention = Retention(lambda: HistorySettings(6, 2, 400))
    print("begun", flush=True)
    while True:
        retention.turn(registry)
"""


def test_it_is_killed_again_and_again(tmp_path: Path) -> None:
    path = tmp_path / "registry.sqlite3"
    with Registry(path, durable=False) as registry:
        fleet.fill(registry, 40, 12)
    for milliseconds in (0, 2, 5, 9):
        with subprocess.Popen([sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE) as killed:
            assert killed.stdout
            assert killed.stdout.readline() == b"begun\n"
            time.sleep(milliseconds / 1000)
            os.kill(killed.pid, signal.SIGKILL)
        with Registry(path, durable=False) as registry:
            registry.check()
            for number in range(40):
                found = shape(registry, number)
                assert found.endswith("EE")
                assert found == "s" * found.count("s") + "E" * found.count("E")
    with Registry(path, durable=False) as registry:
        Turns(registry, boots=6, events=2)()
        assert {shape(registry, number) for number in range(40)} == {"ssssEE"}
