"""What a heartbeat adds to the figures of a day, from values alone."""

import pytest

from appliance.heartbeats import tally
from appliance.heartbeats.tally import DAY, MOST_CREDIT, MOST_PROJECTS, Beat, Figures, Mark
from services.boinc.condition import Condition, ProjectCondition, Task

NOON = 20000 * DAY + DAY / 2
MIDNIGHT = 20001.0 * DAY
URL = "https://project.example.org/"


def beat(at: float, boot: int = 1, uptime: int | None = None, first: float | None = None) -> Beat:
    return Beat(boot, at if first is None else first, at, uptime)


def project(credit: float, host: int = 17, url: str = URL) -> ProjectCondition:
    return ProjectCondition(url, "", host, credit, 0.0, 0, 0, False, False, 0, 0, 0.0)


def tasks(running: int, others: int = 0) -> Condition:
    each = [Task("t", URL, "running", 0.0, 0.0, 0.0, 0.0, active) for active in [True] * running + [False] * others]
    return Condition(tasks=tuple(each))


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        (None, beat(NOON), {}),
        (beat(NOON), beat(NOON + 60), {20000: 60}),
        (beat(NOON), beat(NOON + 180), {20000: 180}),
        (beat(NOON), beat(NOON + 180.5), {}),
        (beat(NOON), beat(NOON), {}),
        (beat(NOON), beat(NOON + 60, boot=2), {}),
        (beat(NOON), beat(NOON + 60, boot=2, uptime=61), {}),
        (beat(MIDNIGHT - 20), beat(MIDNIGHT + 40), {20000: 20, 20001: 40}),
        (beat(MIDNIGHT - 60), beat(MIDNIGHT), {20000: 60}),
        # Those between were not written.
        (beat(NOON), beat(NOON + 600, first=NOON + 60), {20000: 600}),
        (beat(NOON), beat(NOON + 600, first=NOON + 300), {20000: 300}),
        (None, beat(NOON + 600, first=NOON + 60), {20000: 540}),
        (beat(NOON, boot=2), beat(NOON + 600, first=NOON + 60), {20000: 540}),
        (beat(NOON), beat(MIDNIGHT + 2 * DAY, first=NOON + 60), {20000: DAY // 2, 20001: DAY, 20002: DAY}),
        # The clock was set.
        (beat(NOON), beat(NOON - 3600), {}),
        (beat(NOON, uptime=100), beat(NOON + 170, uptime=160), {20000: 62}),
        (beat(NOON, uptime=100), beat(NOON - 3600, uptime=160), {}),
        (beat(NOON, uptime=100), beat(NOON + 60, uptime=160), {20000: 60}),
        (beat(NOON, uptime=100), beat(NOON + 60, uptime=159), {20000: 60}),
        # It was reset, and nobody noticed.
        (beat(NOON, uptime=9000), beat(NOON + 90, uptime=20), {20000: 22}),
        (beat(NOON, uptime=9000), beat(NOON + 90), {20000: 90}),
        (beat(NOON), beat(NOON + 90, uptime=9000), {20000: 90}),
    ],
)
def test_how_long_a_pc_was_on(before: Beat | None, after: Beat, found: dict[int, int]) -> None:
    assert tally.seconds_on(before, after) == found


@pytest.mark.parametrize(
    ("facts", "boinc", "cores"),
    [
        ({"cores": "4"}, tasks(4), 4),
        ({"cores": "4"}, tasks(8), 4),
        ({"cores": "8"}, tasks(3, 9), 3),
        ({"cores": "4"}, tasks(0, 4), 0),
        ({}, tasks(8), 1),
        ({"cores": "many"}, tasks(8), 1),
        ({"cores": "٤"}, tasks(8), 1),
        ({"cores": "9" * 200}, tasks(8), 1),
        ({"cores": "999999"}, tasks(2000), 1024),
    ],
)
def test_how_many_cores_compute(facts: dict[str, str], boinc: Condition, cores: int) -> None:
    assert tally.computing(facts, boinc) == cores


def test_credit_of_several_projects() -> None:
    gained, marks = tally.credit({}, [project(100.0), project(7.0, 3, "b")])
    assert (gained, marks) == (0.0, {URL: Mark(17, 100.0), "b": Mark(3, 7.0)}), "earned before"
    gained, marks = tally.credit(marks, [project(150.0), project(8.5, 3, "b")])
    assert gained == 51.5
    gained, marks = tally.credit(marks, [project(9.0, 3, "b")])
    assert (gained, marks[URL]) == (0.5, Mark(17, 150.0)), "BOINC has left one of them, or does not answer"
    assert tally.credit(marks, [project(151.0)])[0] == 1.0
    assert tally.credit(marks, []) == (0.0, marks)


def test_credit_that_drops_counts_again_once_it_is_higher_than_ever() -> None:
    marks: tally.Marks = {URL: Mark(17, 100.0)}
    found = []
    for told in (0.0, 40.0, 100.0, 101.0, 90.0, 103.0):
        gained, marks = tally.credit(marks, [project(told)])
        found.append(gained)
    assert found == [0.0, 0.0, 0.0, 1.0, 0.0, 2.0]


def test_credit_under_another_number() -> None:
    """A PC that has lost its work asks anew: first it has no number, then perhaps another one."""
    marks: tally.Marks = {URL: Mark(17, 100.0)}
    assert tally.credit(marks, [project(0.0, 0)]) == (0.0, marks)
    assert tally.credit(marks, [project(130.0, 17)])[0] == 30.0
    assert tally.credit(marks, [project(5000.0, 18)]) == (0.0, {URL: Mark(18, 5000.0)})


def test_credit_of_more_projects_than_are_remembered() -> None:
    marks: tally.Marks = {}
    for number in range(100):
        marks = tally.credit(marks, [project(1.0, 5, str(number)), project(float(number))])[1]
    assert len(marks) == MOST_PROJECTS
    assert (marks[URL].credit, "99" in marks, "1" in marks) == (99.0, True, False)
    assert tally.credit({}, [])[1] == {}


def test_a_pc_claims_no_more_than_a_day_has() -> None:
    assert tally.added(Figures(), 60, 4, 1.5) == Figures(60, 240, 1.5)
    assert tally.added(Figures(DAY - 10, 0, 0.0), 60, 4, 0.0) == Figures(10, 40, 0.0)
    assert not tally.added(Figures(DAY, 9, MOST_CREDIT), 60, 4, 99.0)
    assert not tally.added(Figures(DAY + 5, 9, MOST_CREDIT + 1), 60, 4, 99.0)
    assert tally.added(Figures(credit=5.0), 0, 0, 1e15).credit == MOST_CREDIT - 5.0


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": 1}', '{"a": [1]}', '{"a": ["1", 2.0]}', '{"a": [1, NaN]}', "7"])
def test_marks_that_cannot_be_read(text: str) -> None:
    assert tally.marks_from_json(text) == {}


def test_marks_are_kept() -> None:
    marks = {URL: Mark(17, 100.25), "b": Mark(3, 0.0)}
    assert tally.marks_from_json(tally.marks_to_json(marks)) == marks
