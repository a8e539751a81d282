"""The live system's agent: its reports, heartbeats and screen, whatever BOINC, the box and the state directory do."""

import shutil
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from services.events import ReportedStage
from tests.fakes.boinc_client import Project, Task
from tests.unit.debian import need
from tests.unit.image.agent_room import Pc, head, replies


@pytest.fixture
def pc(tmp_path: Path) -> Iterator[Pc]:
    need("curl")
    made = Pc(tmp_path)
    yield made
    made.close()


def test_it_reports_how_far_the_boot_is_then_sends_heartbeats(pc: Pc) -> None:
    pc.start()
    pc.waits_for(lambda: pc.box.stages() == ["reported", "attached", "computing"], "computing")
    assert pc.box.reports[0]["address"] == "10.77.0.101"
    assert [report.get("hostid") for report in pc.box.reports] == [None, "7", "7"]
    assert all(ReportedStage(stage) for stage in pc.box.stages())
    body = pc.beats()
    facts = head(body)
    assert facts.pop("clock").isdigit()
    assert int(facts.pop("uptime")) >= 12
    assert int(facts.pop("cores")) > 0
    assert facts.pop("state_free_mb").isdigit()
    assert facts == {
        "load": "3.98",
        "memory_mb": "8000",
        "memory_free_mb": "4000",
        "temperature": "61",
        "address": "10.77.0.101",
        "boinc": "running",
        "state_directory": "ok",
        "files": "0123456789abcdef",
        "card": "e1000e pci 8086:15b7",
        "model": "Dell Inc. OptiPlex 7040",
        "cpu": "Intel(R) Core(TM) i5-6500 CPU @ 3.20GHz",
    }
    assert [ET.fromstring(reply)[0].tag for reply in replies(body)] == ["cc_status", "projects", "results", "msgs"]
    pc.beats(3)
    assert all(40 <= later - earlier <= 90 for earlier, later in pairwise(pc.box.times[-4:])), "once a minute"


def test_that_it_begins_to_compute_is_told_soon_and_once_between_two_usual_heartbeats(pc: Pc) -> None:
    tasks, pc.condition.tasks = pc.condition.tasks, []

    def uptime() -> float:
        # While the box answers, the PC's clock stands still. Work comes and goes with each heartbeat.
        pc.condition.tasks = [] if pc.condition.tasks else tasks
        return pc.uptime

    pc.box.uptime = uptime
    pc.start()
    pc.beats(8)
    assert ["<result>" in replies(body)[2] for body in pc.box.heartbeats[:8]] == [False, True] * 4
    pauses = [later - earlier for earlier, later in pairwise(pc.box.times[:8])]
    assert max(pauses[0::2]) <= 15
    assert min(pauses[1::2]) >= 40


def test_a_box_that_does_not_answer_is_not_asked_sooner_because_there_is_work(pc: Pc) -> None:
    tasks, pc.condition.tasks = pc.condition.tasks, []

    def uptime() -> float:
        if len(pc.box.times) == 1:
            pc.condition.tasks = tasks
        return pc.uptime

    pc.box.uptime = uptime
    pc.box.replies = [b"next=60\n", 503]
    pc.start()
    pc.beats(5)
    # Five seconds, less the one it may lose by counting whole seconds. It looks for work every three seconds.
    assert min(later - earlier for earlier, later in pairwise(pc.box.times[1:5])) > 4


def test_a_message_is_sent_once(pc: Pc) -> None:
    pc.start()
    assert "Starting BOINC" in replies(pc.beats())[3]
    pc.beats()
    pc.condition.messages.append("Scheduler request completed")
    pc.beats()
    said = "".join("".join(replies(body)[3:]) for body in [*pc.box.heartbeats, pc.beats()])
    assert (said.count("Starting BOINC"), said.count("request completed")) == (1, 1)
    pc.condition.messages[:] = ["Starting BOINC again"]
    assert "BOINC again" in "".join(replies(pc.beats(2))[3:]) + "".join(replies(pc.box.heartbeats[-2])[3:])


def test_a_message_that_the_box_did_not_get_is_sent_again(pc: Pc) -> None:
    pc.box.replies = [503, 503, b"next=60\n"]
    pc.start()
    assert all("Starting BOINC" in replies(body)[3] for body in (pc.beats(), pc.beats(), pc.beats()))


def test_a_heartbeat_is_at_most_64_kb(pc: Pc) -> None:
    pc.condition.tasks = [Task(f"task_{number}_{'x' * 200}") for number in range(60)]
    pc.condition.messages = [f"message {number} {'y' * 900}" for number in range(1500)]
    # The shell reads byte by byte, which takes a busy machine more than the second that the other tests wait.
    for name, short, enough in (("gui-rpc", "-t 1 ", "-t 20 "), ("boinc.sh", "KILL 2 /", "KILL 30 /")):
        script = pc.root / "scripts" / name
        assert short in script.read_text()
        script.write_text(script.read_text().replace(short, enough))
    pc.start()
    body = pc.beats()
    assert 50_000 < len(body) <= 64_000
    parsed = [ET.fromstring(reply) for reply in replies(body)]
    assert len(parsed[2].findall("*/result")) == 60
    kept = [message.findtext("seqno") for message in parsed[3].iter("msg")]
    assert kept[-1] == "1500"
    assert 10 < len(kept) < 100
    pc.condition.tasks = [Task(f"task_{number}_{'x' * 250}") for number in range(160)]
    body = pc.beats(2)
    assert len(body) <= 64_000
    results = ET.fromstring(replies(body)[2])
    assert 80 < len(results.findall("*/result")) < 160


@pytest.mark.parametrize("behaviour", ["silent", "endless", "nonsense", "closed"])
def test_a_boinc_that_does_not_answer_as_it_should_costs_no_heartbeat(pc: Pc, behaviour: str) -> None:
    pc.condition.behaviour = behaviour
    pc.haste(10)
    pc.start()
    first = pc.beats()
    assert head(first)["boinc"] == "starting"
    assert replies(first) == []
    pc.condition.behaviour = "sane"
    pc.waits_for(lambda: "computing" in pc.box.stages(), "it goes on")
    pc.condition.behaviour = behaviour
    assert head(pc.beats(2))["boinc"] == "no answer"


def test_a_wrong_password_is_no_answer(pc: Pc) -> None:
    (pc.root / "data/gui_rpc_auth.cfg").write_text("another")
    pc.start()
    assert head(pc.beats())["boinc"] == "starting"
    assert pc.condition.changes == []


def test_a_boinc_that_ended_is_stopped(pc: Pc) -> None:
    pc.start()
    pc.waits_for(lambda: "computing" in pc.box.stages(), "computing")
    pc.condition.behaviour = "closed"
    (pc.root / "units/boinc-client.service").write_text("failed\n")
    assert head(pc.beats(2))["boinc"] == "stopped"
    assert pc.told("systemctl") == [], "systemd itself starts what failed"
    (pc.root / "units/boinc-client.service").write_text("inactive\n")
    pc.waits_for(lambda: pc.told("systemctl") != [], "it is started again")
    assert pc.told("systemctl")[0] == "start --no-block boinc-client.service"


def test_a_state_directory_that_hangs_hangs_only_itself(pc: Pc) -> None:
    (pc.root / "scripts/state-health").write_text("#!/bin/sh\nexec /bin/sleep 30\n")
    pc.start()
    facts = head(pc.beats(3))
    assert (facts["state_directory"], facts["boinc"]) == ("stalled", "no answer")
    assert "does not answer for this PC's state directory" in (pc.root / "dev/tty1").read_text()


@pytest.mark.parametrize(
    ("program", "word"),
    [
        ('case $* in *-f*) echo "100 4096" ;; *) exec /usr/bin/stat "$@" ;; esac\n', "full"),
        ('case $* in *-f*) echo "99999 4096" ;; *) exec /usr/bin/stat "$@" ;; esac\n', "ok"),
    ],
)
def test_a_full_state_directory_is_told(pc: Pc, program: str, word: str) -> None:
    pc.program("stat", program)
    pc.start()
    assert head(pc.beats(2))["state_directory"] == word


def test_before_the_boinc_files_are_there_it_beats_but_reports_nothing(pc: Pc) -> None:
    """Once userspace is reported up, the token no longer opens the BOINC files."""
    (pc.root / "run/netboot-appliance/placed").unlink()
    (pc.root / "run/netboot-appliance/said").write_text("the server does not export the state directory")
    pc.start()
    assert head(pc.beats(2))["boinc"] == "starting"
    assert pc.box.stages() == []
    assert "\n  Starting\n" in (pc.root / "dev/tty1").read_text()
    (pc.root / "run/netboot-appliance/said").write_text("the server does not export the state directory yet")
    pc.waits_for(lambda: "\n  Starting: the server does not" in (pc.root / "dev/tty1").read_text(), "the reason")
    (pc.root / "run/netboot-appliance/placed").touch()
    pc.waits_for(lambda: pc.box.stages()[:1] == ["reported"], "reported")


def test_until_the_boinc_files_are_there_it_starts_no_programs(pc: Pc) -> None:
    """Each program that it starts is time in which a PC with one processor does not fetch them."""
    files = pc.root / "run/netboot-appliance/placed"
    files.unlink()
    sleep = (pc.root / "bin/sleep").read_text().replace("exec /bin/sleep 0.01", "")
    (pc.root / "bin/sleep").write_text(f'{sleep}echo "$1" >> ROOT/slept\n'.replace("ROOT", str(pc.root)))
    with (pc.root / "bin/sleep").open("a") as program:
        program.write(f'[ "$(wc -l < {pc.root}/slept)" -lt 5 ] || : > {files}\n')
    for name in ("nproc", "ip", "timeout"):
        real = f'exec {shutil.which(name)} "$@"' if name != "ip" else (pc.root / "bin/ip").read_text()
        pc.program(name, f"[ -e {files} ] || echo {name} >> ROOT/early\n{real}\n")
    pc.start()
    assert float(head(pc.beats())["uptime"]) >= 17
    assert pc.told("early") == []
    assert pc.box.stages()[0] == "reported"


def test_what_was_reported_before_the_agent_is_not_reported_again(pc: Pc) -> None:
    (pc.root / "run/netboot-appliance/reported").touch()
    pc.start()
    pc.waits_for(lambda: pc.box.stages() == ["attached", "computing"], "computing")


HOSTILE = [
    b"",
    b"\0" * 5000,
    b"order=1 $(reboot)\norder=x off\norder=-1 off\norder=1 off now\norder=01 off\norder=\n",
    b"order=99999999999999999999999 off\n=\n\n\n[a]=b\nnext=0\nnext=999999\nnext=a[$(reboot)]\nfiles=../../etc\n",
    b"time=0\ntime=99999999999\ntime=$(date)\ntime=\nlabel=\n",
    b"time=1\nwindow=0 1 0 off\nwindow=1 1 1 off; reboot\nwindow=a[$(reboot)] 1 0 off\nwindow=$(reboot)\nwindow=\n",
    b"time=1\nwindow=1 99999999999999999999 600 off\nwindow=1 1 99999999 off\n",
    b"x" * 1_000_000,
    b"order=1 offf\n",
]


@pytest.mark.parametrize("reply", HOSTILE, ids=range(len(HOSTILE)))
def test_an_answer_that_makes_no_sense_changes_nothing(pc: Pc, reply: bytes) -> None:
    pc.box.replies = [reply]
    pc.start()
    pc.beats(3)
    assert pc.told("systemctl") == pc.told("clock") == []
    assert pc.condition.changes == []


def test_a_box_that_refuses_is_asked_again_with_growing_pauses(pc: Pc) -> None:
    pc.box.replies = [403]
    pc.start()
    pc.beats(8)
    pauses = [later - earlier for earlier, later in pairwise(pc.box.times[1:8])]
    assert pauses[0] < 30
    assert max(pauses) < 75
    assert "The server does not answer" in (pc.root / "dev/tty1").read_text()
    assert pc.box.stages() == ["reported", "attached", "computing"]


def test_the_clock_is_set_from_the_answer_unless_a_time_server_did(pc: Pc) -> None:
    pc.box.replies = [b"time=2000000000\n"]
    pc.start()
    pc.waits_for(lambda: pc.told("clock") != [], "it is set")
    assert pc.told("clock")[0] == "-u -s @2000000000"
    (pc.root / "run/systemd/timesync").mkdir(parents=True)
    (pc.root / "run/systemd/timesync/synchronized").touch()
    pc.beats(2)
    count = len(pc.told("clock"))
    pc.beats(2)
    assert len(pc.told("clock")) == count


def test_other_boinc_files_are_fetched_but_not_all_the_time(pc: Pc) -> None:
    renew = pc.root / "scripts/boinc-files"
    renew.write_text(f'#!/bin/sh\necho "$*" >> {pc.root}/renewed\n')
    pc.box.replies = [b"files=0123456789abcdef\n", b"files=fedcba9876543210\n"]
    pc.start()
    pc.beats(4)
    assert pc.told("renewed") == ["--renew"]
    pc.waits_for(lambda: len(pc.told("renewed")) == 2, "again after five minutes")
    assert pc.uptime > 300


def test_the_screen_says_what_the_pc_does_in_words_that_do_not_steer_it(pc: Pc) -> None:
    pc.condition.projects = [Project(name="Evil\33[2J\33]0;x\7 \u202eProject")]
    pc.condition.tasks = [Task("task_1"), Task("task_2", running=False)]
    pc.box.replies = ["label=Room 12, Büro\33[2J\nnext=60\n".encode()]
    pc.start()
    pc.beats(2)
    pc.waits_for(lambda: "Label" in (pc.root / "dev/tty1").read_text(), "the label")
    screen = (pc.root / "dev/tty1").read_text()
    for line in (
        "  boinc-525400aabbcc\n",
        "  Label      Room 12, Büro?[2J\n",
        "  Address    10.77.0.101\n",
        "  Server     127.0.0.1\n",
        ", computer 7\n",
        "  Tasks      1 run, 1 wait\n",
        " 47 %  task_1\n",
        "\n  Computing\n",
        "The power button shuts this PC down cleanly.",
    ):
        assert line in screen
    assert screen.count("\33") == 3, "only those that clear the screen"
    assert "\7" not in screen
    assert pc.journal.splitlines() == [
        "up, address 10.77.0.101, server 127.0.0.1",
        "attached to the BOINC project as host 7",
        "computing",
    ], "a line for each change, not for each heartbeat"


@pytest.mark.parametrize(
    ("reason", "words"), [(8, "Paused: this is not the time of day to compute"), (4, "Paused: it was told to pause")]
)
def test_the_screen_says_why_boinc_is_suspended(pc: Pc, reason: int, words: str) -> None:
    pc.condition.suspend_reason = reason
    pc.start()
    pc.waits_for(lambda: (pc.root / "dev/tty1").exists() and words in (pc.root / "dev/tty1").read_text(), words)


def test_the_screen_gives_a_pc_that_the_project_does_not_know_no_number(pc: Pc) -> None:
    pc.condition.projects = [Project(host=0, name="Project")]
    pc.condition.tasks = []
    pc.start()
    pc.beats()
    pc.waits_for(lambda: "Project    Project\n" in (pc.root / "dev/tty1").read_text(), "the project")


def test_a_project_that_was_away_is_asked_again_soon(pc: Pc) -> None:
    """BOINC itself waits 24 hours after three failed fetches of its page."""
    pc.condition.projects = [Project(host=0, master_fetch_failures=3), Project("https://other.example/")]
    pc.condition.tasks = []
    pc.haste(40)
    pc.start()
    wanted = "<project_update><project_url>https://project.example/</project_url></project_update>"
    pc.waits_for(lambda: len(pc.condition.changes) >= 3, "it is asked")
    assert pc.condition.changes[:3] == [wanted] * 3, "the other project is left alone"
    pauses = [later - earlier for earlier, later in pairwise([0.0, *pc.condition.times[:3]])]
    for pause, least in zip(pauses, (60, 120, 300), strict=True):
        assert least <= pause < least + 500
    pc.condition.projects[0].master_fetch_failures = 0
    pc.condition.projects[0].host = 8
    pc.beats(3)
    asked = len(pc.condition.changes)
    pc.beats(4)
    assert len(pc.condition.changes) == asked


def test_a_project_that_refuses_is_not_asked_all_the_time(pc: Pc) -> None:
    pc.condition.projects = [Project(host=0, min_rpc_time=4e9)]
    pc.haste(150)
    pc.start()
    pc.waits_for(lambda: len(pc.condition.changes) > 0, "after an hour")
    assert pc.condition.times[0] >= 3600


def answered(pc: Pc) -> list[str]:
    """BOINC's replies in the first heartbeat that has some: reading long ones may take too long on a busy machine."""
    pc.waits_for(lambda: any(map(replies, pc.box.heartbeats)), "BOINC answers")
    return next(filter(None, map(replies, pc.box.heartbeats)))


def test_of_too_many_tasks_those_that_run_are_told(pc: Pc) -> None:
    waiting = [Task(f"waits_{number}_{'x' * 250}", running=False) for number in range(200)]
    pc.condition.tasks = [*waiting, Task("runs_1"), Task("runs_2")]
    pc.start()
    told = [task.findtext("name", "")[:5] for task in ET.fromstring(answered(pc)[2]).iter("result")]
    assert 80 < len(told) < 202
    assert told[-2:] == ["runs_", "runs_"]


@pytest.mark.parametrize("lines", [40_000, 60_000])
def test_a_reply_of_nothing_but_lines_takes_no_time(pc: Pc, lines: int) -> None:
    pc.condition.projects = [Project(name="\n" * lines)]
    pc.start()
    assert len(answered(pc)) == (4 if lines < 50_000 else 3)


@pytest.mark.parametrize("failures", [0, 3])
def test_what_a_project_writes_is_never_run(pc: Pc, failures: int) -> None:
    """A project chooses its name and its links, which BOINC passes on as they are: lines of ours among them."""
    run = f"$(touch {pc.root}/run_by_agent)"
    name = f"Some Project</project_name>\n<hostid>x[{run}]</hostid>\n<nrpc_failures>x[{run}]</nrpc_failures>"
    pc.condition.projects = [
        Project(f"https://{run}.example/", master_fetch_failures=failures),
        Project("https://project.example/", name, master_fetch_failures=failures),
    ]
    pc.haste(40)
    pc.start()
    pc.beats(6)
    assert not (pc.root / "run_by_agent").exists()
    assert ("<project_update>" in "".join(pc.condition.changes)) == bool(failures)
