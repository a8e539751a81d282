"""The work of all PCs together."""

from pathlib import Path

import pytest

from appliance.heartbeats import store, work
from appliance.heartbeats.records import StoredHeartbeat
from appliance.registry.database import Registry
from services.boinc.condition import from_json, to_json, work_of
from services.ethernet import MacAddress
from tests.unit.appliance.cli.room_of_pcs import COMPUTING


def test_the_quick_reading_is_that_of_the_whole_condition() -> None:
    text = to_json(COMPUTING)
    whole = from_json(text)
    assert work_of(text) == (
        [task.state for task in whole.tasks],
        [(each.url, each.credit, each.average, each.succeeded, each.failed) for each in whole.projects],
    )
    assert work_of("{}") == ([], [])


@pytest.mark.parametrize("text", ["", "[]", "{", '{"tasks": [[]]}', '{"projects": [[1, 2, 3, "x", 5, 6, 7]]}'])
def test_what_cannot_be_read(text: str) -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        work_of(text)


def test_all_pcs_are_added_up_but_for_tasks_of_those_that_are_silent(tmp_path: Path) -> None:
    with Registry(tmp_path / "registry.sqlite3") as registry:
        beats = [StoredHeartbeat(MacAddress(n), n, 1000.0 + n, {}, to_json(COMPUTING)) for n in range(3)]
        store.write(registry, beats)
        registry.sql.execute("UPDATE heartbeats SET boinc = 'broken' WHERE mac = 2")
        found = work.add_up(registry, 1001.0)
    running = sum(task.state == "running" for task in COMPUTING.tasks)
    assert found.tasks["running"] == running > 0
    (project,) = COMPUTING.projects
    assert found.projects[project.url].pcs == 2
    assert found.projects[project.url].credit == 2 * project.credit
