"""`status` as its user types it."""

import json
import re
import time
from dataclasses import replace
from pathlib import Path

from appliance.boot import next_boot
from appliance.heartbeats import store
from appliance.heartbeats.records import StoredHeartbeat
from appliance.registry.database import Registry
from services.boinc.condition import Doing, to_json
from tests.unit.appliance.cli.program import Run
from tests.unit.appliance.cli.room_of_pcs import (
    COMPUTES,
    COMPUTING,
    FACTS,
    FAILED,
    IDLE,
    OFF,
    SILENT,
    STALLED,
    UNHEARD,
    fill,
    pc,
)


def test_status_without_a_server(run: Run) -> None:
    done = run("status")
    assert done.returncode == 3
    assert "not running" in done.stdout
    facts = json.loads(run("status", "--json").stdout)
    assert facts["server"]["pid"] is None
    assert facts["boots"] == []
    assert facts["image"] is None


def test_status_counts_the_states_and_begins_with_those_that_need_a_person(run: Run, tmp_path: Path) -> None:
    fill(tmp_path / "data" / "registry" / "registry.sqlite3")
    run("allow", "add", "52:54:00:00:00:00/40", "--label", "room 12")
    lines = run("status").stdout.splitlines()
    begin = lines.index("2 of 7 on, 1 computes; 1 failed, 1 stalled, 1 idle, 1 silent, 1 without heartbeats, 1 off")
    assert lines[begin + 2].split() == ["MAC", "label", "state", "BOINC", "host", "started", "last", "heard"]
    rows = [re.split(r" {2,}", line)[:3] for line in lines[begin + 3 : begin + 10]]
    assert rows == [
        [str(FAILED), "room 12", "failed: no root"],
        [str(STALLED), "room 12", "stalled in script"],
        [str(IDLE), "room 12", rows[2][2]],
        [str(SILENT), "room 12", "silent for 12 min"],
        [str(UNHEARD), "room 12", "computing, no heartbeats"],
        [str(COMPUTES), "room 12", "computing 1 task"],
        [str(OFF), "room 12", "off by order"],
    ]
    assert rows[2][2].startswith("idle for 2 h: the project refuses the account key")
    wrong = lines[lines.index("What is wrong, and what to do:") + 1 :]
    assert f"the project refuses the account key: {IDLE}" in wrong
    assert wrong[wrong.index(f"the project refuses the account key: {IDLE}") + 1].startswith(
        "  do: put the account's current weak key into the configuration"
    )
    named = "\n".join(wrong)
    assert all(str(mac) in named for mac in (FAILED, STALLED, SILENT))
    assert not any(str(mac) in named for mac in (UNHEARD, COMPUTES, OFF))


def test_a_pc_that_is_suspended_as_it_should_be_is_not_wrong(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "data" / "registry" / "registry.sqlite3"
    fill(path)
    suspended = to_json(replace(COMPUTING, doing=Doing.SUSPENDED, suspended="user request"))
    with Registry(path) as registry:
        store.write(registry, [StoredHeartbeat(COMPUTES, 1, time.time(), FACTS, suspended)])
    shown, wrong = run("status").stdout.split("What is wrong, and what to do:")
    assert re.search(rf"^{COMPUTES} +suspended: user request", shown, re.MULTILINE)
    assert str(SILENT) in wrong
    assert str(COMPUTES) not in wrong


def test_status_shows_a_few_of_the_pcs_that_start_something_else(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "data" / "registry" / "registry.sqlite3"
    fill(path)
    with Registry(path) as registry, registry.edit():
        for number in range(40):
            next_boot.write(registry, pc(number), "local")
    lines = [line for line in run("status").stdout.splitlines() if line.startswith("next boot")]
    assert lines[:1] + lines[9:] == [
        f"next boot {pc(0)} starts local",
        f"next boot {pc(9)} starts local",
        "next boot … and 30 more (status --json)",
    ]


def test_status_for_scripts_has_the_states(run: Run, tmp_path: Path) -> None:
    fill(tmp_path / "data" / "registry" / "registry.sqlite3")
    document = json.loads(run("status", "--json").stdout)
    pcs = document["pcs"]
    assert (pcs["known"], pcs["on"], pcs["states"]["computing"], pcs["states"]["silent"]) == (7, 2, 1, 1)
    assert [boot["now"]["kind"] for boot in document["boots"]] == [
        "failed", "stalled", "idle", "silent", "unheard", "computing", "off",
    ]  # fmt: skip
