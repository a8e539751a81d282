"""The work of all PCs together."""

import json

import pytest

from appliance.heartbeats.records import StoredHeartbeat
from appliance.heartbeats.work import WorkOfAll, WorkSums, work_in
from services.boinc.condition import to_json
from services.ethernet import MacAddress
from tests.unit.appliance.cli.room_of_pcs import COMPUTING


def beat(mac: int, at: float = 1000.0, boinc: str = "") -> StoredHeartbeat:
    return StoredHeartbeat(MacAddress(mac), mac, at, {}, boinc or to_json(COMPUTING))


def summed(*beats: StoredHeartbeat, now: float = 1000.0) -> WorkOfAll:
    sums = WorkSums()
    for each in beats:
        sums.put(each.mac.value, work_in(each, now))
    return sums.total()


def test_all_pcs_are_added_up_but_for_tasks_of_those_that_are_silent() -> None:
    found = summed(beat(1), beat(2, 810.0), beat(3, boinc="broken"))
    assert found.tasks["running"] == sum(task.state == "running" for task in COMPUTING.tasks) > 0
    (project,) = COMPUTING.projects
    assert found.projects[project.url].pcs == 2
    assert found.projects[project.url].credit == 2 * project.credit


def test_what_a_pc_says_takes_the_place_of_what_it_said_before() -> None:
    assert summed(beat(1), beat(2), beat(1), beat(2)) == summed(beat(1), beat(2))
    assert summed(beat(1), beat(1, boinc="{}")) == WorkOfAll() == summed(beat(1), beat(1, boinc="broken"))


@pytest.mark.parametrize("credit", [1e308, -1e308, float("inf"), float("nan")])
def test_what_a_pc_makes_up_is_gone_when_it_says_something_else(credit: float) -> None:
    (project,) = COMPUTING.projects
    values = json.loads(to_json(COMPUTING))
    values["projects"][0][3] = credit
    liar = json.dumps(values)
    found = summed(beat(1), *(beat(2, boinc=text) for text in (liar, "{}") * 50))
    assert found == summed(beat(1))
    assert found.projects[project.url].credit == project.credit
