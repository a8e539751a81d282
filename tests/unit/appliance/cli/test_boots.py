"""`boots` and `events` as their user types them."""

import json
import os
import signal
import subprocess
from datetime import datetime
from pathlib import Path

import pytest

from appliance.journal.codec import encode
from appliance.registry.database import Registry
from services.events import EntryStarted
from tests.unit.appliance.cli.eventful_room import BEGAN, ONE, OTHER, SECRETS, fill
from tests.unit.appliance.cli.program import ENVIRONMENT, PROGRAM, Run, assert_refused


@pytest.fixture
def room(run: Run, tmp_path: Path) -> Run:
    fill(tmp_path / "data" / "registry" / "registry.sqlite3")
    assert run("allow", "add", str(ONE), "--label", "window").returncode == 0
    return run


def test_boots_list_is_latest_first_with_what_is_wrong(room: Run) -> None:
    lines = room("boots", "list").stdout.splitlines()
    assert lines[0].split() == ["boot", "started", "MAC", "label", "came", "to", "after", "what", "is", "wrong"]
    assert [line.split()[0] for line in lines[1:]] == ["2", "1"]
    assert "failed" in lines[1]
    assert "no root" in lines[1]
    assert "window" in lines[2]
    assert "computing  40 s" in lines[2]


def test_boots_list_by_pc_by_stage_and_page_by_page(room: Run) -> None:
    def numbers(*options: str) -> list[int]:
        return [each["id"] for each in json.loads(room("boots", "list", "--json", *options).stdout)]

    assert numbers() == [2, 1]
    assert numbers("--pc", str(ONE)) == [1]
    assert numbers("--stage", "failed") == [2]
    assert numbers("--limit", "1") == [2]
    assert numbers("--before", "2") == [1]
    assert "--before 2)" in room("boots", "list", "--limit", "1").stdout
    assert room("boots", "list", "--stage", "kernel").stdout == "No such boot is known.\n"


def test_boots_show_has_stages_and_events_and_no_secret(room: Run) -> None:
    shown = room("boots", "show", "1").stdout
    assert shown.startswith("boot 1 of 52:54:00:00:00:01, ")
    assert "       3.0 s  script\n" in shown
    assert "       0.1 s  was offered snponly.efi\n" in shown
    assert "      40.0 s  reported computing (hostid=4711)\n" in shown
    document = room("boots", "show", "1", "--json").stdout
    assert [each["kind"] for each in json.loads(document)["events"]][-2:] == ["TokenExchanged", "Reported"]
    everything = shown + document + room("events", "--json").stdout
    assert not [secret for secret in SECRETS if secret in everything]


def test_a_boot_that_there_is_not(room: Run) -> None:
    done = room("boots", "show", "3")
    assert (done.returncode, done.stdout) == (2, "")
    assert "there is no boot 3" in done.stderr


def test_events_are_one_a_line_oldest_first(room: Run) -> None:
    at = datetime.fromtimestamp(BEGAN).astimezone()
    lines = room("events").stdout.splitlines()
    assert lines[0] == f"{at:%Y-%m-%d %H:%M:%S}  {ONE} (window)  asks for its boot"
    assert lines[-1].endswith(f"  {OTHER}  reported failed (reason=no root)")
    assert len(lines) == 9
    assert [line.split("  ", 2)[2] for line in room("events", "--limit", "2").stdout.splitlines()] == [
        "reported computing (hostid=4711)",
        "reported failed (reason=no root)",
    ]


def test_events_of_a_pc_of_a_kind_and_since_a_moment(room: Run) -> None:
    def kinds(*options: str) -> list[str]:
        return [each["kind"] for each in json.loads(room("events", "--json", *options).stdout)]

    assert kinds("--pc", str(OTHER)) == ["Discovered", "ScriptServed", "Reported"]
    assert kinds("--kind", "Offered", "--kind", "TransferServed") == ["Offered", "TransferServed"]
    since = datetime.fromtimestamp(BEGAN + 35).astimezone().isoformat()
    assert kinds("--since", since) == ["Reported", "Reported"]
    assert kinds("--since", since, "--limit", "1") == ["Reported", "Reported"], "--limit is how many are read at once"
    assert room("events", "--since", "1h").stdout == "No such event is known.\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("events", "--kind", "Exploded"), "there is no kind of event 'Exploded'"),
        (("events", "--since", "yesterday"), "'yesterday' is no time"),
        (("events", "--pc", "x"), "is not a MAC address"),
        (("boots", "list", "--pc", "x"), "is not a MAC address"),
    ],
)
def test_bad_input_is_one_message_with_a_hint_and_exit_code_2(run: Run, arguments: tuple[str, ...], words: str) -> None:
    assert_refused(run, arguments, words)


@pytest.mark.parametrize("as_json", [False, True])
def test_events_follow_shows_what_another_process_records(room: Run, tmp_path: Path, *, as_json: bool) -> None:
    command = [str(PROGRAM), "--config", str(tmp_path / "c.toml"), "events", "--follow", "--limit", "1"]
    command += ["--json"] if as_json else []
    with subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        with Registry(tmp_path / "data" / "registry" / "registry.sqlite3") as registry:
            event = EntryStarted(ONE, "memtest")
            registry.append_events([(1, BEGAN + 900, type(event).__name__, encode(event))])
        second = process.stdout.readline()
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(20) == 130
    if as_json:
        assert (json.loads(first)["kind"], json.loads(second)["details"]) == ("Reported", {"entry": "memtest"})
    else:
        assert second.endswith("started memtest of its menu\n")
