"""`room` as its user types it, and what it does to menus and `status`."""

import json
from pathlib import Path

import pytest

from tests.unit.appliance.cli.program import Run


@pytest.fixture
def room(run: Run, tmp_path: Path) -> Run:
    with (tmp_path / "c.toml").open("a") as file:
        file.write('[schedules.night]\nwindows = ["Mon-Fri 19:00-06:30"]\n')
    assert run("allow", "add", "52:54:00:*", "--label", "Room 12", "--schedule", "night").returncode == 0
    assert run("allow", "add", "52:55:00:*", "--label", "Room 12").returncode == 0
    return run


def test_a_room_is_held_off_and_released(room: Run) -> None:
    done = room("room", "off", "room 12", "--until", "8h")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("room      Room 12, 2 ranges\nheld      off until ")
    assert "computes from " in done.stdout
    shown = json.loads(room("room", "status", "ROOM 12", "--json").stdout)
    assert (shown["held"], shown["schedules"], len(shown["now"])) == ("off", ["", "night"], 2)
    assert shown["until"] - shown["since"] == 8 * 3600
    assert "held      Room 12: off until " in room("status").stdout
    assert json.loads(room("status", "--json").stdout)["held"][0]["label"] == "Room 12"
    released = room("room", "release", "Room 12").stdout
    assert released.startswith("room      Room 12, 2 ranges\nheld      no\n")
    assert "(it was not held)" in room("room", "release", "Room 12").stdout
    assert "held      " not in room("status").stdout


def test_a_room_that_is_held_without_an_end(room: Run) -> None:
    assert "does not compute until the room is released" in room("room", "off", "Room 12").stdout
    assert "computes at any time" in room("room", "on", "Room 12").stdout
    lines = room("room", "status").stdout.splitlines()
    assert lines[0].split() == ["room", "ranges", "schedule", "held"]
    assert lines[1].split() == ["Room", "12", "2", "night", "on", "until", "released"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("room", "off", "room 13"), "no entry of the allowlist has the label 'room 13'"),
        (("room", "status", "room 13"), "no entry of the allowlist has the label 'room 13'"),
        (("room", "on", "room 12", "--until", "tomorrow"), "--until 'tomorrow': write \"Mon 07:00\""),
        (("room", "on", "room 12", "--until", "2001-01-01"), "--until '2001-01-01' is past"),
    ],
)
def test_bad_input_names_what_would_be_right(room: Run, arguments: tuple[str, ...], words: str) -> None:
    done = room(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {words}")
    assert "\nhint: " in done.stderr
    assert "there are: Room 12" in room("room", "off", "room 13").stderr
    assert json.loads(room("room", "status", "room 12", "--json").stdout)["held"] == ""
