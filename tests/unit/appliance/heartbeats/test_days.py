"""The figures of each PC and day, as heartbeats make them: through the writer, and beside a slow count of seconds."""

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from appliance.heartbeats import days, store
from appliance.heartbeats.states import SILENT_AFTER
from appliance.heartbeats.tally import DAY, DayTotal
from appliance.registry.database import Registry
from appliance.server.heartbeat_writer import HeartbeatWriter
from appliance.server.pending_heartbeats import PendingHeartbeats, TimedHeartbeat
from services.boinc.condition import Condition, ProjectCondition, Task
from services.ethernet import MacAddress
from services.http.heartbeats import Heartbeat

A, B, C = (MacAddress.parse(f"52:54:00:aa:bb:0{n}") for n in (1, 2, 3))
NOON = 20000.0 * DAY + DAY / 2
URL = "https://project.example.org/"


def condition(running: int, credit: float) -> Condition:
    """What BOINC says when so many tasks are running."""
    project = ProjectCondition(URL, "", 17, credit, 0.0, 0, 0, False, False, 0, 0, 0.0)
    return Condition(tasks=(Task("t", URL, "running", 0.0, 0.0, 0.0, 0.0, active=True),) * running, projects=(project,))


def read(boinc: bytes, _before: str, _at: float) -> Condition:
    running, credit = boinc.split()
    return condition(int(running), float(credit))


class Box:
    """A box that gets heartbeats, and writes them when it is told to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.pending = PendingHeartbeats()
        self.writer = HeartbeatWriter(path, self.pending, read)

    def beat(
        self, at: float, boot: int = 1, running: int = 4, credit: float = 0.0, mac: MacAddress = A, **facts: str
    ) -> None:
        known = {"cores": "4"} | facts
        self.pending.add(TimedHeartbeat(boot, at, Heartbeat(mac, known, boinc=f"{running} {credit}".encode())))

    def write(self) -> None:
        self.writer.turn()
        assert self.writer.trouble == ""

    def killed(self) -> None:
        """It is killed and started again: what was pending is lost."""
        self.writer.release()
        self.pending = PendingHeartbeats()
        self.writer = HeartbeatWriter(self.path, self.pending, read)

    def totals(self, first: int = 0, last: int = 99_999, macs: tuple[MacAddress, ...] | None = None) -> list[DayTotal]:
        with Registry(self.path) as registry:
            return days.totals(registry, first, last, macs)


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    Registry(tmp_path / "registry.sqlite3").close()
    box = Box(tmp_path / "registry.sqlite3")
    yield box
    box.writer.release()


def test_a_day_of_two_pcs(box: Box) -> None:
    for minute in range(11):
        box.beat(NOON + 60 * minute, running=4, credit=100.0 + minute)
        box.beat(NOON + 60 * minute, running=minute % 2, credit=7.0, mac=B)
        box.write()
    assert box.totals() == [DayTotal(20000, 2, 1200, 2400 + 300, 10.0)]
    assert box.totals(macs=(A,)) == [DayTotal(20000, 1, 600, 2400, 10.0)]
    assert box.totals(macs=(B, C)) == [DayTotal(20000, 1, 600, 300, 0.0)]
    assert box.totals(macs=(C,)) == box.totals(20001) == box.totals(last=19999) == []
    many = tuple(MacAddress(number) for number in range(600))
    assert box.totals(macs=(*many, A)) == box.totals(macs=(A,))


def test_a_registry_that_could_not_be_written_for_an_hour(box: Box) -> None:
    box.beat(NOON)
    box.write()
    for minute in range(1, 61):
        box.beat(NOON + 60 * minute)
    box.write()
    assert box.totals() == [DayTotal(20000, 1, 3600, 14400, 0.0)]


def test_a_server_that_is_killed(box: Box) -> None:
    box.beat(NOON, credit=5.0)
    box.write()
    box.beat(NOON + 60, credit=6.0)
    box.killed()
    box.beat(NOON + 120, credit=8.0)
    box.write()
    assert box.totals() == [DayTotal(20000, 1, 120, 480, 3.0)]
    box.killed()
    box.beat(NOON + 420)
    box.write()
    assert box.totals() == [DayTotal(20000, 1, 120, 480, 3.0)], "away for five minutes"


def test_a_failed_commit_counts_nothing_and_then_once(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    box.beat(NOON, credit=5.0)
    box.write()
    box.beat(NOON + 60, credit=9.0)
    wrote = days.write
    with monkeypatch.context() as patched:

        def fails(*arguments: object) -> None:
            wrote(*arguments)  # type: ignore[arg-type]
            raise OSError("the disk is full")

        patched.setattr(days, "write", fails)
        box.writer.turn()
        assert "the disk is full" in box.writer.trouble
    assert box.totals() == []
    box.write()
    assert box.totals() == [DayTotal(20000, 1, 60, 240, 4.0)]


def test_midnight_and_a_pc_that_only_earns(box: Box) -> None:
    midnight = 20001.0 * DAY
    box.beat(midnight - 30, credit=1.0)
    box.write()
    box.beat(midnight + 30, credit=2.0)
    box.write()
    box.beat(midnight + 9000, boot=2, credit=4.5)
    box.write()
    assert box.totals() == [DayTotal(20000, 1, 30, 120, 0.0), DayTotal(20001, 1, 30, 120, 3.5)]


def test_damaged_rows_stop_nothing(box: Box) -> None:
    box.beat(NOON, credit=1.0)
    box.write()
    with Registry(box.path) as registry:
        registry.sql.execute("INSERT INTO days VALUES (20000, ?, 'x', x'00', -1)", (A.value,))
        registry.sql.execute("UPDATE credits SET marks = x'ff'")
    box.beat(NOON + 60, credit=3.0)
    box.write()
    box.beat(NOON + 120, credit=4.0)
    box.write()
    with Registry(box.path) as registry:
        registry.check()
        assert registry.sql.execute("SELECT powered, computed, credit FROM days").fetchall() == [(120, 480, 0.0)]


Gaps = some.lists(
    some.tuples(
        some.sampled_from([10.0, 59.5, 60.0, 61.25, 179.0, 180.0, 181.0, 900.0, 40_000.0]),
        some.integers(0, 9),  # 0: it was restarted
        some.integers(0, 12),  # tasks running
        some.sampled_from([0.0, 1.5, -3.0, 40.0]),  # credit
        some.sampled_from(["write", "wait", "kill", "wait"]),
    ),
    max_size=24,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(Gaps)
def test_as_a_slow_count_of_seconds(
    tmp_path_factory: pytest.TempPathFactory, story: list[tuple[float, int, int, float, str]]
) -> None:
    """Each second between two heartbeats that are near is counted by itself, with the tasks of the heartbeat whose
    figures the registry has next."""
    path = tmp_path_factory.mktemp("days") / "registry.sqlite3"
    box, at, boot, credit = Box(path), NOON, 1, 50.0
    powered, computed, earned = Counter[int](), Counter[int](), Counter[int]()
    heard: list[tuple[float, int]] = []  # since the last one written, with that
    highest = None
    for gap, restarted, running, gained, then in [*story, (60.0, 1, 1, 0.0, "write")]:
        at, boot, credit = at + gap, boot + (restarted == 0), max(credit + gained, 0.0)
        box.beat(at, boot, running, credit)
        heard.append((at, boot))
        if then == "kill":
            box.killed()
            heard = [each for each in heard[:1] if highest is not None]
        elif then == "write":
            box.write()
            unbroken = True
            for earlier, later in reversed(list(pairwise(heard))):
                near = later[1] == earlier[1] and later[0] - earlier[0] <= SILENT_AFTER
                unbroken = unbroken and near
                for second in range(int(earlier[0]), int(later[0])) if unbroken else ():
                    powered[second // DAY] += 1
                    computed[second // DAY] += min(running, 4)
            if highest is not None and credit > highest:
                earned[int(at) // DAY] += credit - highest  # type: ignore[assignment]
            highest = max(credit, highest or 0.0)
            heard = heard[-1:]
    box.writer.release()
    found = box.totals()
    assert {each.day: each.powered for each in found if each.powered} == powered
    assert {each.day: each.computed for each in found if each.computed} == +computed
    assert {each.day: each.credit for each in found if each.credit} == earned
    assert box.totals(macs=(A,)) == found
    with Registry(path) as registry:
        assert store.latest(registry, A) is not None
