"""`order` as its user types it."""

import json
import os
import pty
import re
import subprocess
from pathlib import Path

import pytest

from appliance.boot import next_boot
from appliance.heartbeats import orders
from appliance.registry.database import Registry
from services.http.heartbeats import OrderVerb
from tests.unit.appliance.cli.program import PROGRAM, Run, netboot_appliance
from tests.unit.appliance.cli.room_of_pcs import COMPUTES, IDLE, OFF, SILENT, UNHEARD, fill

ROOM = "52:54:00:00:00:00/40"


@pytest.fixture
def room(run: Run, tmp_path: Path) -> Run:
    fill(registry_of(tmp_path))
    assert run("allow", "add", ROOM, "--label", "room 12").returncode == 0
    return run


def registry_of(tmp_path: Path) -> Path:
    return tmp_path / "data" / "registry" / "registry.sqlite3"


def given(tmp_path: Path) -> list[tuple[str, str]]:
    with Registry(registry_of(tmp_path)) as registry:
        return [(str(each.mac), str(each.verb)) for each in orders.all_of(registry) if each.ended is None]


@pytest.mark.parametrize("words", [("order",), ("order", "give")])
def test_one_pc_that_is_on(room: Run, tmp_path: Path, words: tuple[str, ...]) -> None:
    done = room(*words, str(COMPUTES), "suspend")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "order 2: suspend, for 1 PC\n1 is on, and will get it within a minute and a half\n\n"
        "MAC                label    state\n52:54:00:00:00:01  room 12  computing 1 task\n"
    )
    assert given(tmp_path) == [(str(COMPUTES), "suspend")]


def test_a_room_by_its_label(room: Run, tmp_path: Path) -> None:
    done = room("order", "Room 12", "update")
    lines = done.stdout.splitlines()
    assert lines[:4] == [
        "orders 2 to 8: update, for 7 PCs",
        "2 are on, and will get it within a minute and a half",
        "5 are not heard: the order waits for 24 h",
        "1 of them runs an image without heartbeats, and cannot get orders: netboot-appliance image build, then restart"
        " the PC",
    ]
    assert f"{SILENT}  room 12  silent for 12 min" in lines
    assert lines[-1].startswith(str(IDLE)), "those that do not hear it come first"
    assert len(given(tmp_path)) == 7


def test_json(room: Run) -> None:
    (found,) = json.loads(room("order", str(SILENT), "resume", "--json").stdout)
    assert found == {
        "id": 2, "mac": str(SILENT), "label": "room 12", "verb": "resume", "on": False, "state": "silent for 12 min",
    }  # fmt: skip


def test_a_pc_that_is_off_by_order_does_not_go_off_again_when_somebody_needs_it(room: Run, tmp_path: Path) -> None:
    done = room("order", str(OFF), "off")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: it is off already; nothing was changed\n"
    done = room("order", ROOM, "off", "--yes")
    assert "orders 2 to 7: off, for 6 PCs\n" in done.stdout
    assert "the order waits for 24 h, and also ends a boot that begins in that time\n" in done.stdout
    assert str(OFF) not in [mac for mac, _ in given(tmp_path)]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("order", "room 13", "suspend"), "'room 13' is neither a MAC address, nor a range, nor a label"),
        (("order", "52:54:00:00:00:99", "suspend"), "52:54:00:00:00:99 has not booted yet"),
        (("order", "52:55:00:*", "suspend"), "no PC of 52:55:00:00:00:00/24 has booted yet"),
        (("order", "cancel", "room 13"), "'room 13' is neither a MAC address, nor a range, nor a label"),
        (("order", "cancel", "99"), "there is no order 99"),
        (("order", "cancel", "1"), "done, 7 min ago: order 1"),
        (("order", "cancel", str(COMPUTES)), f"no order for {COMPUTES} is open"),
        (("order", "room 12", "off"), "this would switch off these 6 PCs, and nobody is there to ask"),
        (("order", ROOM, "finish-disk"), "this would let these 6 PCs finish their work and give them to"),
    ],
)
def test_bad_input_is_one_message_and_exit_code_2(
    room: Run, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    done = room(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {words}")
    assert "nothing was changed\nhint: " in done.stderr
    assert given(tmp_path) == []


@pytest.mark.parametrize("arguments", [("order", "room 12", "explode"), ("order", "room 12")])
def test_a_verb_that_there_is_not(room: Run, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = room(*arguments)
    assert done.returncode == 2
    assert "order give" in done.stderr
    assert given(tmp_path) == []


def answer(tmp_path: Path, typed: bytes, *arguments: str) -> tuple[int, str]:
    """The exit code and the output of an order at a terminal where `typed` is typed."""
    ours, theirs = pty.openpty()
    os.write(ours, typed)
    command: list[str | Path] = [PROGRAM, "--config", tmp_path / "c.toml", "order", *arguments]
    done = subprocess.run(command, stdin=theirs, capture_output=True, text=True, check=False)
    os.close(ours)
    os.close(theirs)
    return done.returncode, done.stderr


def test_what_ends_the_boots_of_several_pcs_is_asked_for_at_a_terminal(room: Run, tmp_path: Path) -> None:
    code, asked = answer(tmp_path, b"n\n", "room 12", "finish")
    assert (code, given(tmp_path)) == (1, [])
    assert asked.startswith("Let these 6 PCs finish their work and switch them off? [y/N]:")
    assert answer(tmp_path, b"y\n", "room 12", "off")[0] == 0
    assert len(given(tmp_path)) == 6


@pytest.mark.parametrize("arguments", [("room 12", "finish", "--yes"), ("room 12", "suspend"), (str(IDLE), "off")])
def test_what_is_not_asked_for(room: Run, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    assert answer(tmp_path, b"n\n", *arguments) == (0, "")
    assert given(tmp_path) != []


def test_the_list_and_the_results(room: Run) -> None:
    room("order", str(SILENT), "suspend")
    lines = room("order", "list").stdout.splitlines()
    assert lines[0].split() == ["order", "MAC", "label", "what", "given", "result"]
    assert re.fullmatch(r"2 +52:54:00:00:00:03  room 12  suspend  \d+ s ago +waits until the PC is heard", lines[1])
    assert re.fullmatch(r"1 +52:54:00:00:00:07  room 12  off      8 min ago  done, 7 min ago", lines[2])
    assert len(room("order", "list", "--open").stdout.splitlines()) == 2
    assert [each["id"] for each in json.loads(room("order", "list", "--limit", "1", "--json").stdout)] == [2]


def test_cancelling(room: Run, tmp_path: Path) -> None:
    room("order", str(SILENT), "finish-disk")
    room("order", "room 12", "update")
    with Registry(registry_of(tmp_path)) as registry:
        assert next_boot.all_of(registry) == [], "the newer order took its place"
        orders.record(registry, {3: 1e9}, {})
    assert room("order", "cancel", "4").stdout == "cancelled 1 order: 4\n"
    assert room("order", "cancel", ROOM).stdout == (
        "cancelled 6 orders: 3, 5, 6, 7, 8, 9\n1 was sent already: the PC may still carry it out\n"
    )
    assert given(tmp_path) == []
    with Registry(registry_of(tmp_path)) as registry:
        assert {each.result for each in orders.recent(registry, 7)} == {"cancelled"}
        assert registry.changed() is False


def test_a_cancelled_finish_disk_leaves_the_next_boot_as_it_was(room: Run, tmp_path: Path) -> None:
    room("order", str(SILENT), "finish-disk")
    with Registry(registry_of(tmp_path)) as registry:
        assert [each.entry for each in next_boot.all_of(registry)] == ["local"]
    room("order", "cancel", str(SILENT))
    with Registry(registry_of(tmp_path)) as registry:
        assert next_boot.all_of(registry) == []


def completed(tmp_path: Path, *words: str) -> list[str]:
    """What bash offers at a Tab after these words."""
    environment = {
        "PATH": os.defpath,
        "NETBOOT_APPLIANCE_CONFIG": f"{tmp_path}/c.toml",
        "_NETBOOT_APPLIANCE_COMPLETE": "complete_bash",
        "COMP_WORDS": " ".join(("netboot-appliance", *words)),
        "COMP_CWORD": str(len(words)),
    }
    return netboot_appliance(environment=environment).stdout.split("\n")


def test_the_shell_completes_labels_and_verbs(room: Run, tmp_path: Path) -> None:
    room("allow", "add", "52:54:00:00:00:01", "--label", "window")
    assert completed(tmp_path, "order", "") == ["give", "list", "cancel", "'room 12'", "window", ""]
    assert completed(tmp_path, "order", "w") == ["window", ""]
    assert completed(tmp_path, "order", "cancel", "w") == ["window", ""]
    assert completed(tmp_path, "order", "window", "fin") == ["finish", "finish-disk", ""]
    assert completed(tmp_path, "order", "window", "") == [*OrderVerb, ""]


def test_a_tab_without_a_registry_offers_no_labels_and_makes_none(run: Run, tmp_path: Path) -> None:
    assert completed(tmp_path, "order", "") == ["give", "list", "cancel", ""]
    assert not (tmp_path / "data").exists()


def test_help_has_examples_and_says_how() -> None:
    for words in (("order",), ("order", "give"), ("order", "list"), ("order", "cancel")):
        assert "Example" in netboot_appliance(*words, "--help").stdout, words
    assert "Usage: netboot-appliance order [OPTIONS] MAC|RANGE|LABEL VERB" in netboot_appliance("order", "-h").stdout


def test_a_pc_without_heartbeats_is_named(room: Run) -> None:
    assert "image build" in room("order", str(UNHEARD), "suspend").stdout
