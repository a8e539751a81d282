"""`allow` as its user types it: words, exit codes, and that bad input changes nothing."""

import contextlib
import json
import os
import pty
import re
import subprocess
from pathlib import Path

import pytest

from appliance.errors import UserError
from tests.unit.appliance.cli.box_with_releases import PC, BoxWithReleases
from tests.unit.appliance.cli.program import ENVIRONMENT, PROGRAM, Run, assert_refused


def test_allow_add_list_check_remove(run: Run) -> None:
    assert run("allow", "list").stdout == "Nobody may boot: the allowlist is empty.\n"
    added = run("allow", "add", "52-54-00-AA-BB-CC", "--label", "room 12")
    assert (added.returncode, added.stdout) == (0, "allowed 52:54:00:aa:bb:cc (room 12)\n")
    assert run("allow", "add", "52:55:*", "--yes").stdout == "allowed 52:55:00:00:00:00/16: 4,294,967,296 addresses\n"
    assert json.loads(run("allow", "list", "--json").stdout)[0] == {
        "range": "52:54:00:aa:bb:cc",
        "first": "52:54:00:aa:bb:cc",
        "last": "52:54:00:aa:bb:cc",
        "label": "room 12",
        "default": None,
        "timeout": None,
        "root": None,
        "schedule": None,
        "image": None,
    }
    assert "room 12" in run("allow", "list").stdout
    yes = run("allow", "check", "525400aabbcc")
    assert (yes.returncode, yes.stdout) == (0, "52:54:00:aa:bb:cc is allowed by 52:54:00:aa:bb:cc (room 12)\n")
    no = run("allow", "check", "525400aabbcd")
    assert (no.returncode, no.stdout) == (1, "52:54:00:aa:bb:cd is not allowed: no entry contains it\n")
    checked = json.loads(run("allow", "check", "525400aabbcc", "--json").stdout)
    assert (checked["allowed"], checked["entry"]["label"]) == (True, "room 12")
    no = run("allow", "check", "525400aabbcd", "--json")
    assert (no.returncode, json.loads(no.stdout)) == (1, {"mac": "52:54:00:aa:bb:cd", "allowed": False, "entry": None})
    assert run("allow", "remove", "5254.00aa.bbcc").stdout == "removed 52:54:00:aa:bb:cc\n"
    assert run("allow", "export").stdout == "52:55:00:00:00:00/16\n"


def test_removing_what_a_range_allows_names_the_range(run: Run) -> None:
    run("allow", "add", "52:54:00:*", "--label", "all")
    done = run("allow", "remove", "52:54:00:aa:bb:cc")
    assert done.returncode == 2
    assert "it is allowed by 52:54:00:00:00:00/24 (all)" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("allow", "add", "banana"), "'banana' is not a MAC address"),
        (("allow", "add", "52:54:00:00:00:09-52:54:00:00:00:01"), "runs backwards"),
        (("allow", "remove", "52:54:00:00:00:09"), "there is no entry"),
        (("allow", "set", "52:54:00:00:00:09", "--label", "x"), "there is no entry"),
        (("allow", "set", "52:54:00:00:00:09"), "name what is to change"),
        (("allow", "add", "ff:ff:ff:ff:ff:ff"), "ff:ff:ff:ff:ff:ff is the address of all machines"),
        (("allow", "add", "00:00:00:00:00:00"), "00:00:00:00:00:00 is the address of no machine"),
        (("allow", "add", "01:00:5e:00:00:01"), "01:00:5e:00:00:01 is multicast"),
        (("allow", "add", "33:33:*", "--yes"), "33:33:00:00:00:00/16 is multicast"),
        (("allow", "add", "52:*"), "52:00:00:00:00:00/8 has 1,099,511,627,776 addresses"),
        (("allow", "add", "52:54:00:00:00:01", "ff:ff:ff:ff:ff:ff"), "is the address of all machines"),
        (("allow", "check", "52:54:00"), "is not a MAC address"),
        (("allow", "import", "/nonexistent/macs"), "cannot read /nonexistent/macs: No such file"),
    ],
)
def test_bad_input_is_one_message_with_a_hint_and_exit_code_2(run: Run, arguments: tuple[str, ...], words: str) -> None:
    assert_refused(run, arguments, words)


def test_several_at_once(run: Run) -> None:
    run("allow", "add", "52:54:00:00:00:02", "--label", "door")
    done = run("allow", "add", "52:54:00:00:00:01", "52:54:00:00:00:02", "--label", "room 12")
    assert done.stdout == (
        "allowed 52:54:00:00:00:01 (room 12)\n52:54:00:00:00:02 was already allowed; its label is now 'room 12'\n"
    )


def test_what_no_pc_can_have_is_not_imported(run: Run) -> None:
    done = run("allow", "import", "-", stdin="52:54:00:00:00:01\n01:00:5e:00:00:01\n02:*\n")
    assert done.returncode == 2
    assert "standard input:2: 01:00:5e:00:00:01 is multicast" in done.stderr
    assert "standard input:3: 02:00:00:00:00:00/8 has 1,099,511,627,776 addresses" in done.stderr
    assert run("allow", "export").stdout == ""


def test_no_mac_address_is_cut_on_a_narrow_terminal(run: Run, tmp_path: Path) -> None:
    spans = [f"52:54:00:00:0{n}:00-52:54:00:00:0{n}:99" for n in range(3)]
    run("allow", "add", *spans, "--label", "a label of several words", "--default", "local", "--root", "http")
    shown = on_a_terminal(tmp_path / "c.toml", 60)
    assert [span for span in spans if span not in shown] == []
    assert max(map(len, shown.splitlines())) <= 60


def on_a_terminal(config: Path, columns: int) -> str:
    """What `allow list` prints on a terminal of this width, without its colours."""
    ours, theirs = pty.openpty()
    command: list[str | Path] = [PROGRAM, "--config", config, "allow", "list"]
    environment = ENVIRONMENT | {"COLUMNS": str(columns), "TERM": "xterm"}
    subprocess.run(command, stdin=theirs, stdout=theirs, env=environment, check=True)
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):
        while piece := os.read(ours, 65536):
            shown += piece
    os.close(ours)
    return re.sub(r"\x1b\[[0-9;]*m", "", shown.decode()).replace("\r", "")


def test_import_takes_all_or_nothing(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "macs.txt"
    file.write_text("52:54:00:* room\n00:11:22:33:44:55\nbanana\n")
    done = run("allow", "import", str(file))
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{file}:3: 'banana'" in done.stderr
    assert run("allow", "export").stdout == ""
    done = run("allow", "import", "-", stdin="52:54:00:* room\n00:11:22:33:44:55\n")
    assert done.stdout == "imported 2 entries: 2 new, 0 known\n"
    assert run("allow", "export").stdout == "00:11:22:33:44:55\n52:54:00:00:00:00/24  room\n"


def test_a_table_of_a_spreadsheet_goes_in_and_out(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "macs.csv"
    file.write_bytes('Price;Name;MAC\r\n7;"Büro; 1";52:54:00:00:00:01\r\n'.encode("cp1252"))
    done = run("allow", "import", str(file))
    assert done.stdout == "imported 1 entries: 1 new, 0 known\n"
    assert done.stderr == "columns that were left out: Price\n"
    table = run("allow", "export", "--csv").stdout
    assert table == "range,label,default,timeout,root,schedule,image\n52:54:00:00:00:01,Büro; 1,,,,,\n"
    assert run("allow", "import", "-", stdin=table).stdout == "imported 1 entries: 0 new, 1 known\n"


def test_ten_thousand_ranges(run: Run) -> None:
    lines = "".join(f"52:54:{n >> 8:02x}:{n & 255:02x}:00:00/36 r{n}\n" for n in range(10_000))
    assert run("allow", "import", "-", stdin=lines).stdout == "imported 10000 entries: 10000 new, 0 known\n"
    assert run("allow", "check", "52:54:27:0f:00:01").stdout.endswith("(r9999)\n")


def editor(tmp_path: Path, content: str) -> str:
    script = tmp_path / "editor"
    script.write_text(f"#!/bin/sh\nprintf '{content}' > \"$1\"\n")
    script.chmod(0o755)
    return str(script)


def test_edit_saves_what_is_valid(run: Run, tmp_path: Path) -> None:
    run("allow", "add", "52:54:00:*")
    done = run("allow", "edit", EDITOR=editor(tmp_path, "00:11:22:33:44:55 mine\\n"))
    assert done.stdout == "saved: 1 added, 1 removed, 1 entries in all\n"
    assert run("allow", "export").stdout == "00:11:22:33:44:55  mine\n"


def test_edit_saves_nothing_when_a_line_is_wrong(run: Run, tmp_path: Path) -> None:
    run("allow", "add", "52:54:00:*")
    done = run("allow", "edit", EDITOR=editor(tmp_path, "00:11:22:33:44:55\\nbanana\\n"))
    assert done.returncode == 2
    assert "line:2: 'banana'" in done.stderr
    assert run("allow", "export").stdout == "52:54:00:00:00:00/24\n"


def test_a_broken_editor_changes_nothing(run: Run) -> None:
    done = run("allow", "edit", EDITOR="/bin/false")
    assert done.returncode == 2
    assert "the editor '/bin/false' failed" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("allow", "add", PC, "--default", "disk"), "'disk' is not an entry of the menu"),
        (("allow", "add", PC, "--default", "rescue"), "rescue is locked in [menu]"),
        (("allow", "add", PC, "--timeout", "-1"), "whole seconds"),
        (("allow", "add", PC, "--timeout", "9999"), "timeout: must be from 0 (no menu) to 3600 seconds"),
        (("allow", "add", PC, "--root", "tftp"), "root=tftp: must be one of nfs, http"),
        (("allow", "add", PC, "--timeout", "5 x"), "whole seconds"),
        (("allow", "add", PC, "--label", "root=http"), "a label cannot begin with a setting"),
        (("allow", "add", PC, "--label", "schedule=night"), "a label cannot begin with a setting"),
        (("allow", "add", PC, "--schedule", "last night"), "a name is 1 to 32 letters"),
        (("allow", "add", PC, "--schedule", "night"), "there is no schedule 'night'; nothing was changed"),
    ],
)
def test_bad_settings(box: BoxWithReleases, arguments: tuple[str, ...], words: str) -> None:
    with pytest.raises(UserError) as caught:
        box.run(*arguments)
    assert words in caught.value.message
    assert caught.value.code == 2
    assert box.run("allow", "export") == ""


def test_what_a_range_boots_is_shown_and_survives_export_and_import(box: BoxWithReleases) -> None:
    added = box.run("allow", "add", "52:54:00:*", "--label", "room", "--default", "local", "--timeout", "5")
    assert added == ("allowed 52:54:00:00:00:00/24 (room): 16,777,216 addresses; boots with default=local timeout=5\n")
    assert box.run("allow", "check", PC).endswith("(room); boots with default=local timeout=5\n")
    listed = json.loads(box.run("allow", "list", "--json"))[0]
    assert (listed["default"], listed["timeout"], listed["root"]) == ("local", 5, None)
    assert "default=local timeout=5" in box.run("allow", "list")
    text = box.run("allow", "export")
    assert text == "52:54:00:00:00:00/24  default=local timeout=5  room\n"
    box.run("allow", "remove", "52:54:00:*")
    box.run("allow", "import", "-", stdin=text)
    assert box.run("allow", "export") == text


ROOM = "52:54:00:00:00:00/24"


def exported(box: BoxWithReleases) -> str:
    return " ".join(box.run("allow", "export").split())


def test_what_is_not_named_stays_as_it_is(box: BoxWithReleases) -> None:
    box.run("allow", "add", ROOM, "--default", "local", "--timeout", "0")
    again = box.run("allow", "add", ROOM, "--label", "room")
    assert again == f"{ROOM} was already allowed; its label is now 'room'\n"
    assert exported(box) == f"{ROOM} default=local timeout=0 room"
    again = box.run("allow", "add", ROOM, "--root", "http")
    assert again == f"{ROOM} was already allowed; boots with default=local timeout=0 root=http\n"
    assert box.run("allow", "import", "-", stdin=f"{ROOM} timeout=7\n") == "imported 1 entries: 0 new, 1 known\n"
    assert box.run("allow", "import", "-", stdin=f"{ROOM} hall\n{PC}\n") == "imported 2 entries: 1 new, 1 known\n"
    assert box.run("allow", "export").split("\n")[:2] == [f"{ROOM}  default=local timeout=7 root=http  hall", PC]
    assert box.run("allow", "add", ROOM) == f"{ROOM} was already allowed\n"


def test_set_changes_what_is_named_and_removes_what_is_named_as_empty(box: BoxWithReleases) -> None:
    box.run("allow", "add", ROOM, "--label", "room", "--default", "local", "--timeout", "5")
    assert box.run("allow", "set", ROOM, "--timeout", "") == f"{ROOM} (room); boots with default=local\n"
    assert box.run("allow", "set", "52:54:00:*", "--label", "hall") == f"{ROOM} (hall); boots with default=local\n"
    assert box.run("allow", "set", ROOM, "--label", "", "--default", "") == f"{ROOM}: no settings of its own\n"
    assert exported(box) == ROOM
    for wrong in (("--timeout", "soon"), ("--root", "tftp"), ("--default", "rescue"), ("--label", "a#b")):
        with pytest.raises(UserError):
            box.run("allow", "set", ROOM, "--label", "x", *wrong)
    assert exported(box) == ROOM


def test_a_range_has_a_schedule_of_the_configuration(box: BoxWithReleases) -> None:
    box.configure('[schedules.night]\nwindows = ["Mon-Fri 19:00-06:30"]\n[schedules.weekend]\nwindows = ["Sat-Sun"]\n')
    added = box.run("allow", "add", ROOM, "--timeout", "5", "--schedule", "night")
    assert added.endswith("addresses; boots with timeout=5; computes by the schedule night\n")
    assert box.run("allow", "set", ROOM, "--timeout", "") == f"{ROOM}; computes by the schedule night\n"
    assert json.loads(box.run("allow", "list", "--json"))[0]["schedule"] == "night"
    assert exported(box) == f"{ROOM} schedule=night"
    with pytest.raises(UserError) as caught:
        box.run("allow", "set", ROOM, "--schedule", "nihgt")
    assert caught.value.message == "there is no schedule 'nihgt'; nothing was changed"
    assert caught.value.hint == "there are: night, weekend"
    with pytest.raises(UserError, match="standard input:2: there is no schedule 'nihgt': there are: night, weekend"):
        box.run("allow", "import", "-", stdin=f"{PC}\n{ROOM} schedule=nihgt\n")
    assert exported(box) == f"{ROOM} schedule=night"
    assert box.run("allow", "set", ROOM, "--schedule", "") == f"{ROOM}: no settings of its own\n"


def test_a_schedule_that_is_gone_is_no_obstacle_to_an_edit(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    night = '[schedules.night]\nwindows = ["Sat"]\n'
    before = file.read_text()
    file.write_text(before + night)
    run("allow", "add", PC, "--schedule", "night")
    file.write_text(before)
    kept = run("allow", "edit", EDITOR=editor(tmp_path, f"{PC} schedule=night mine\\n"))
    assert kept.stdout == "saved: 0 added, 0 removed, 1 entries in all\n"
    new = run("allow", "edit", EDITOR=editor(tmp_path, f"{PC} schedule=day mine\\n"))
    assert (new.returncode, "there is no schedule 'day'" in new.stderr) == (2, True)
    assert run("allow", "export").stdout == f"{PC}  schedule=night  mine\n"
