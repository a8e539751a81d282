"""`wake` as its user types it. The packets are the matter of tests/unit/appliance/control/test_waking.py."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from appliance.config.file import load
from appliance.registry.database import Registry
from appliance.registry.server_lock import only_server
from appliance.wake import requests
from appliance.wake.request import WakeRequest, WakeResult
from tests.unit.appliance.cli.program import ENVIRONMENT, PROGRAM, Run
from tests.unit.appliance.cli.room_of_pcs import COMPUTES, OFF, SILENT, fill

NEVER = "52:54:00:00:00:99"
WARNED = "warning: the control process does not run, and it sends the packets; it has 4 h to start\n"


@pytest.fixture
def room(run: Run, tmp_path: Path) -> Run:
    fill(registry_of(tmp_path))
    with (tmp_path / "c.toml").open("a") as file:
        file.write('[schedules.night]\nwindows = ["20:00-06:00"]\n')
    assert run("allow", "add", "52:54:00:00:00:00/40", "--label", "room 12", "--schedule", "night").returncode == 0
    return run


def registry_of(tmp_path: Path) -> Path:
    return tmp_path / "data" / "registry" / "registry.sqlite3"


def kept(tmp_path: Path) -> list[WakeRequest]:
    with Registry(registry_of(tmp_path)) as registry:
        return requests.all_of(registry)


def end(tmp_path: Path, results: dict[int, WakeResult]) -> None:
    with Registry(registry_of(tmp_path)) as registry:
        requests.end(registry, results, time.time())


@pytest.mark.parametrize("words", [("wake",), ("wake", "ask")])
def test_one_pc(room: Run, tmp_path: Path, words: tuple[str, ...]) -> None:
    done = room(*words, str(OFF))
    assert done.returncode == 0
    assert done.stdout == (
        "wake 1: 1 PC, at once\n\nMAC                label\n52:54:00:00:00:07  room 12\n\n"
        "Who came, and who did not: netboot-appliance wake list\n"
    )
    assert done.stderr.startswith(WARNED), "nobody would send anything"
    (request,) = kept(tmp_path)
    assert (request.mac, request.asked_by, request.tries, request.ended) == (OFF, "hand", 0, None)


@pytest.mark.parametrize("target", ["Room 12", "52:54:00:00:00:*", "schedule:night"])
def test_a_room(room: Run, tmp_path: Path, target: str) -> None:
    with only_server(load(tmp_path / "c.toml").registry, "control"):
        done = room("wake", target)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("wakes 1 to 7: 7 PCs, 30 in a minute: the last one in 12 s\n")


def test_json(room: Run) -> None:
    (found,) = json.loads(room("wake", NEVER, "--json").stdout)
    assert found | {"asked": 0, "due": 0} == {
        "id": 1, "mac": NEVER, "label": "room 12", "asked_by": "hand", "asked": 0, "tries": 0, "due": 0, "ended": None,
        "result": "", "state": "waits for its turn",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("02:00:00:00:00:01", "is not allowed; nothing was changed"),
        ("room 99", "neither a MAC address, nor a range, nor a label"),
        ("schedule:day", "there is no schedule 'day'; nothing was changed"),
        ("schedule:", "there is no schedule ''; nothing was changed"),
    ],
)
def test_nobody_is_meant(room: Run, tmp_path: Path, target: str, words: str) -> None:
    for arguments in (("wake", target), ("wake", "cancel", target)):
        done = room(*arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert words in done.stderr
    assert kept(tmp_path) == []


def waiting(tmp_path: Path, *more: str) -> "subprocess.Popen[str]":
    """`wake --wait` for two PCs, that has asked."""
    process = subprocess.Popen(
        [PROGRAM, "--config", tmp_path / "c.toml", "wake", "52:54:00:00:00:06-52:54:00:00:00:07", "--wait", *more],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT,
    )  # fmt: skip
    while len(kept(tmp_path)) < 2 and process.poll() is None:
        time.sleep(0.02)
    return process


def test_waiting_for_pcs_of_which_one_does_not_come(room: Run, tmp_path: Path) -> None:
    process = waiting(tmp_path)
    end(tmp_path, {1: WakeResult.CAME, 2: WakeResult.DID_NOT_COME})
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    first, *ended, last = out.splitlines()
    assert first == "waking 2 PCs; Ctrl-C ends the waiting, and not the waking"
    assert ended[0].startswith("52:54:00:00:00:06  room 12  came after ")
    assert ended[1] == "52:54:00:00:00:07  room 12  did not come"
    assert last == "1 of 2 PCs are on"


def test_waiting_for_pcs_that_come(room: Run, tmp_path: Path) -> None:
    process = waiting(tmp_path, "--json")
    end(tmp_path, {1: WakeResult.CAME, 2: WakeResult.WAS_ON})
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert [each["result"] for each in json.loads(out)] == ["came", "it is on"]


def test_ctrl_c_leaves_the_requests_and_says_so(room: Run, tmp_path: Path) -> None:
    process = waiting(tmp_path)
    assert process.stdout
    process.stdout.readline()
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err.endswith(
        "the requests stay; to end them: netboot-appliance wake cancel 52:54:00:00:00:06-52:54:00:00:00:07\n"
    )
    assert [each.ended for each in kept(tmp_path)] == [None, None]


def test_the_list(room: Run, tmp_path: Path) -> None:
    assert room("wake", "list").stdout == "Nobody was woken.\n"
    assert room("wake", "list", "--away").stdout == "All PCs came when they were woken last.\n"
    room("wake", "room 12")
    end(tmp_path, {1: WakeResult.WAS_ON, 3: WakeResult.DID_NOT_COME})
    lines = room("wake", "list").stdout.splitlines()
    assert lines[0].split() == ["wake", "MAC", "label", "asked", "by", "asked", "result"]
    assert len(lines) == 8
    assert "did not come" in lines[-3]
    assert len(json.loads(room("wake", "list", "--open", "--json").stdout)) == 5
    assert [each["mac"] for each in json.loads(room("wake", "list", "--away", "--json").stdout)] == [str(SILENT)]
    assert room("wake", "list", "--away", "--open").returncode == 2


def test_cancelled(room: Run, tmp_path: Path) -> None:
    room("wake", "room 12")
    done = room("wake", "cancel", "1")
    assert (done.returncode, done.stdout) == (0, f"cancelled 1 request: {COMPUTES}\n")
    assert "request 1 has ended: cancelled; nothing was changed" in room("wake", "cancel", "1").stderr
    assert "there is no request 99; nothing was changed" in room("wake", "cancel", "99").stderr
    with Registry(registry_of(tmp_path)) as registry:
        requests.note_tries(registry, {7: time.time() + 60})
    done = room("wake", "cancel", "room 12")
    assert done.stdout.startswith("cancelled 6 requests: 52:54:00:00:00:02, ")
    assert done.stdout.endswith("1 PC has had a packet already, and may still come\n")
    done = room("wake", "cancel", "room 12")
    assert (done.returncode, done.stdout) == (2, "")
    assert "nobody of room 12 is being woken; nothing was changed" in done.stderr
