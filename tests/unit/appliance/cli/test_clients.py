"""`clients` as its user types it."""

import json
import re
from pathlib import Path

import pytest

from appliance.boot import next_boot
from appliance.registry.database import Registry
from appliance.registry.records import Client
from services.ethernet import MacAddress
from tests.unit.appliance.cli.box_with_releases import PC, BoxWithReleases
from tests.unit.appliance.cli.program import Run, assert_refused
from tests.unit.appliance.cli.room_of_pcs import COMPUTES, FAILED, IDLE, OFF, STALLED, UNHEARD, fill


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("clients", "show", "52:54:00:00:00:09"), "has not booted yet"),
        (("clients", "show", "x"), "is not a MAC address"),
        (("clients", "forget", "x"), "is not a MAC address"),
        (("clients", "forget", "52:54:00:00:00:09"), "nothing was learned about 52:54:00:00:00:09"),
        (("clients", "forget"), "name a MAC address or use --all"),
        (("clients", "forget", "52:54:00:00:00:09", "--all"), "name a MAC address or use --all"),
    ],
)
def test_bad_input_is_one_message_with_a_hint_and_exit_code_2(run: Run, arguments: tuple[str, ...], words: str) -> None:
    assert_refused(run, arguments, words)


def test_clients_show_has_the_next_boot(box: BoxWithReleases) -> None:
    box.run("allow", "add", PC)
    mac = MacAddress.parse(PC)
    with Registry(box.data / "registry" / "registry.sqlite3") as registry:
        registry.register(Client(1, mac, 1000.0, "a password"))
        next_boot.ask(registry, mac, "local")
        assert "next boot          local\n" in box.run("clients", "show", PC)
        assert json.loads(box.run("clients", "show", PC, "--json"))["next_boot"] == "local"
        next_boot.take(registry, mac, 1)
    assert "next boot          local (under way)\n" in box.run("clients", "show", PC)


@pytest.fixture
def room(run: Run, tmp_path: Path) -> Run:
    fill(tmp_path / "data" / "registry" / "registry.sqlite3")
    assert run("allow", "add", "52:54:00:00:00:00/40", "--label", "room 12").returncode == 0
    return run


def test_all_that_a_heartbeat_says(room: Run) -> None:
    shown = room("clients", "show", str(COMPUTES)).stdout
    for line in (
        "state              computing 1 task\n",
        "PC                 OptiPlex 7060, Intel(R) Core(TM) i5-8500 CPU @ 3.00GHz\n",
        "load               3.97 on 4 processors\n",
        "memory             5120 of 7812 MB free\n",
        "temperature        61 °C\n",
        "network card       e1000e 8086:15bb\n",
        "its state          ok, 18874 MB free\n",
        "count_host1_1  Fake     running  1 %   12 s     10 min ",
        "[Fake] Starting task count_host1_1\n",
    ):
        assert line in shown
    assert re.search(r"^heartbeat +\d+ s ago, up for 2 h$", shown, re.MULTILINE)
    assert re.search(r"^Fake +1 +0 +0\.0 +0 +0", shown, re.MULTILINE)


def test_orders_and_their_results(room: Run) -> None:
    shown = room("clients", "show", str(OFF)).stdout
    assert "state              off by order\n" in shown
    assert re.search(r"^1 +off +8 min ago  done, 7 min ago$", shown, re.MULTILINE)


def test_a_refused_key_is_in_the_messages(room: Run) -> None:
    shown = room("clients", "show", str(IDLE)).stdout
    said = "! [http://127.0.0.1:8093/fake/] Message from server: Invalid or missing account key."
    assert said in shown
    assert "No tasks.\n" in shown


def test_scripts_get_it_too(room: Run) -> None:
    document = json.loads(room("clients", "show", str(COMPUTES), "--json").stdout)
    assert document["now"]["words"] == "computing 1 task"
    assert document["facts"]["temperature"] == "61"
    assert document["boinc"]["tasks"][0]["state"] == "running"
    assert document["boinc"]["projects"][0]["name"] == "Fake"
    assert document["orders"] == []
    (order,) = json.loads(room("clients", "show", str(OFF), "--json").stdout)["orders"]
    assert (order["verb"], order["result"]) == ("off", "done")


@pytest.mark.parametrize(("state", "pc"), [("idle", IDLE), ("unheard", UNHEARD), ("stalled", STALLED)])
def test_the_pcs_in_one_state(room: Run, state: str, pc: MacAddress) -> None:
    lines = room("clients", "list", "--state", state).stdout.splitlines()
    assert [line[:17] for line in lines[1:]] == [str(pc)]
    (only,) = json.loads(room("clients", "list", "--state", state, "--json").stdout)
    assert (only["mac"], only["now"]["kind"]) == (str(pc), state)


def test_stuck_are_those_whose_boot_does_not_go_on(room: Run) -> None:
    stuck = json.loads(room("clients", "list", "--state", "stuck", "--json").stdout)
    assert {each["mac"]: each["now"]["kind"] for each in stuck} == {str(STALLED): "stalled", str(FAILED): "failed"}


def test_the_pcs_with_a_label(room: Run) -> None:
    room("allow", "add", str(IDLE), "--label", "window")
    (only,) = json.loads(room("clients", "list", "--label", "Window", "--json").stdout)
    assert only["mac"] == str(IDLE)
    stuck = json.loads(room("clients", "list", "--label", "room 12", "--state", "stuck", "--json").stdout)
    assert {each["mac"] for each in stuck} == {str(STALLED), str(FAILED)}
    assert room("clients", "list", "--label", "attic").stdout == "No PC with the label 'attic'.\n"


def test_a_state_that_there_is_not_and_one_in_which_nobody_is(room: Run) -> None:
    unknown = room("clients", "list", "--state", "sleeping")
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert "'sleeping' is no state of a PC" in unknown.stderr
    assert room("clients", "list", "--state", "booting").stdout == "No PC is booting.\n"
    assert room("clients", "list", "--state", "booting", "--json").stdout == "[]\n"


def test_the_list_has_pages_also_for_scripts(room: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.view.facts._PAGE", 2)
    everybody = room("clients", "list", "--limit", "0", "--json").stdout
    macs = [pc["mac"] for pc in json.loads(everybody)]
    assert macs == [f"52:54:00:00:00:0{number}" for number in range(1, 8)]
    assert len(everybody.splitlines()) == 9, "a PC a line"
    some = room("clients", "list", "--limit", "3", "--after", str(COMPUTES)).stdout.splitlines()
    assert [line[:17] for line in some[1:4]] == macs[1:4]
    assert some[4] == "… and 3 more (--after 52:54:00:00:00:04, or --limit 0)"


def test_a_pc_that_is_off_is_forgotten_with_its_history(room: Run) -> None:
    refused = room("clients", "forget", COMPUTES, "--history")
    assert (refused.returncode, "it may be on (computing" in refused.stderr) == (2, True)
    assert "name a MAC address or use --all" in room("clients", "forget", "--all", "--history").stderr
    assert room("clients", "forget", OFF, "--work").returncode == 2
    done = room("clients", "forget", OFF, "--history")
    assert done.stdout == f"forgot {OFF}: 1 boot, its orders, and what was learned of its firmware; its work stays\n"
    assert "has not booted yet" in room("clients", "show", OFF).stderr


def test_work_is_set_aside_listed_and_deleted_once_it_is_old(room: Run, tmp_path: Path) -> None:
    state, volumes = tmp_path / "data" / "state", tmp_path / "data" / "volumes"
    (state / OFF.bare).mkdir(parents=True)
    (state / OFF.bare / "client_state.xml").write_text("hours of work")
    volumes.mkdir(mode=0o700)
    assert room("clients", "kept", as_root=True).stdout == "No work is set aside.\n"
    done = room("clients", "forget", OFF, "--history", "--work", as_root=True)
    assert f"forgot {OFF}: 1 boot" in done.stdout
    assert "its work is set aside, and kept until 20" in done.stdout
    (kept,) = state.glob(".kept-*")
    assert kept.name.startswith(f".kept-{OFF.bare}-")
    assert (
        "kept      the work of 1 forgotten PC is kept (see: sudo netboot-appliance clients kept)"
        in room("status").stdout
    )
    assert (kept / "client_state.xml").read_text() == "hours of work"
    (listed,) = json.loads(room("clients", "kept", "--json", as_root=True).stdout)
    assert (listed["mac"], listed["until"] - listed["at"]) == (str(OFF), 7 * 86400)
    assert str(OFF) in room("clients", "kept", as_root=True).stdout

    assert room("clients", "purge", as_root=True).stdout == "no work was kept for 7 days\n"
    unasked = room("clients", "purge", OFF, as_root=True)
    assert (unasked.returncode, "nobody is there to ask; nothing was changed" in unasked.stderr) == (2, True)
    assert kept.exists()
    six = kept.rename(state / f".kept-{OFF.bare}-{listed['at'] - 6 * 86400}")
    # The timer comes once a day, and sees what there is.
    room("clients", "purge", as_root=True)
    assert "that of 1 is deleted soon, the first in 2" in room("status").stdout
    assert json.loads(room("status", "--json").stdout)["kept_work"]["soon"] == 1
    six.rename(state / f".kept-{OFF.bare}-{listed['at'] - 8 * 86400}")
    assert "deleted the work of 1 PC for good: " in room("clients", "purge", as_root=True).stdout
    assert list(state.glob(".kept-*")) == []
    assert "forgotten PC" not in room("status").stdout
    for verb in (("purge", OFF, "--yes"), ("restore", OFF)):
        assert f"no work of {OFF} is kept" in room("clients", *verb, as_root=True).stderr
    again = room("clients", "forget", OFF, "--history", "--work", as_root=True)
    assert (again.returncode, f"{OFF} has no work here" in again.stderr) == (2, True)
