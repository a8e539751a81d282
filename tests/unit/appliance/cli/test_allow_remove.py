"""`allow remove`: PCs that are on are named first, and --when-idle lets them finish."""

import os
import pty
import signal
import subprocess
import time
from pathlib import Path

import pytest

from appliance.heartbeats import orders
from appliance.registry.database import Registry
from services.http.heartbeats import OrderVerb
from tests.room.processes import wait_until
from tests.unit.appliance.cli.program import PROGRAM, Run
from tests.unit.appliance.cli.room_of_pcs import COMPUTES, IDLE, OFF, fill

ROOM = "52:54:00:00:00:00/40"
ON = f"2 PCs of it are on ({COMPUTES}, {IDLE})"


@pytest.fixture
def room(run: Run, tmp_path: Path) -> Run:
    fill(registry_of(tmp_path))
    assert run("allow", "add", ROOM, "--label", "room 12").returncode == 0
    return run


def registry_of(tmp_path: Path) -> Path:
    return tmp_path / "data" / "registry" / "registry.sqlite3"


def allowed(run: Run) -> str:
    return run("allow", "export").stdout


def begin(tmp_path: Path, *arguments: str, stdin: int | None = None) -> "subprocess.Popen[str]":
    command: list[str | Path] = [PROGRAM, "--config", tmp_path / "c.toml", "allow", "remove", ROOM, *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=stdin or subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True)


def test_a_script_is_told_who_stops(room: Run) -> None:
    done = room("allow", "remove", ROOM)
    assert (done.returncode, done.stdout) == (0, f"removed {ROOM}\n")
    assert done.stderr == f"{ON}, and stop now; their work is kept\n"
    assert room("allow", "add", str(OFF)).returncode == 0
    assert room("allow", "remove", str(OFF)).stderr == "", "it is off"


def test_pcs_that_another_entry_allows_go_on(room: Run) -> None:
    room("allow", "add", "52:54:00:*")
    done = room("allow", "remove", ROOM)
    assert (done.stdout, done.stderr) == (f"removed {ROOM} (still allowed by 52:54:00:00:00:00/24)\n", "")


def test_a_person_is_asked_and_may_say_no(room: Run, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    os.write(ours, b"n\n")
    process = begin(tmp_path, stdin=theirs)
    _, said = process.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)
    assert process.returncode == 1
    assert f"{ON}: they stop at once; with --when-idle they finish their work first" in said
    assert ROOM in allowed(room)


def test_when_idle_gives_the_order_and_waits_until_they_are_off(room: Run, tmp_path: Path) -> None:
    process = begin(tmp_path, "--when-idle")
    with Registry(registry_of(tmp_path)) as registry:
        wait_until(lambda: len(orders.open_orders(registry)) == 2, 60, "the orders")
        assert {each.verb for given in orders.open_orders(registry).values() for each in given} == {OrderVerb.FINISH}
        assert ROOM in allowed(room), "they still have their roots"
        now = time.time()
        numbers = [each.id for given in orders.open_orders(registry).values() for each in given]
        orders.record(registry, dict.fromkeys(numbers, now), dict.fromkeys(numbers, (now, "done")))
        with registry.transaction():
            registry.sql.execute("UPDATE heartbeats SET at = at - 1000")
    said, _ = process.communicate(timeout=60)
    assert said.splitlines() == [
        f"{ON}: they take no new work, and switch off when theirs is reported",
        f"removed {ROOM}",
    ]
    assert allowed(room) == ""


def test_ctrl_c_while_it_waits_removes_nothing_and_names_the_orders(room: Run, tmp_path: Path) -> None:
    process = begin(tmp_path, "--when-idle")
    with Registry(registry_of(tmp_path)) as registry:
        wait_until(lambda: len(orders.open_orders(registry)) == 2, 60, "the orders")
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert f"{ROOM} is still allowed; the PCs finish all the same (order cancel 2 3)" in said
    assert process.returncode == 130
    assert ROOM in allowed(room)
