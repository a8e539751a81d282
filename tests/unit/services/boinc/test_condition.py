"""What BOINC says of itself. The files in replies/ are what boinc-client 7.20.5 answered, with the project of
tests/fakes: a running task, a key that the project refuses, suspended by the user, and a project that is not
reachable."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from services.boinc.condition import (
    MOST_MESSAGES,
    MOST_TASKS,
    BoincMessage,
    Condition,
    Doing,
    ProjectCondition,
    Task,
    doing_of,
    follow,
    from_json,
    read,
    suspend_reason,
    to_json,
)

REPLIES = Path(__file__).parent / "replies"
URL = "http://127.0.0.1:8093/fake/"


def captured(name: str) -> Condition:
    return read((REPLIES / f"{name}.xml").read_bytes())


def task(state: str, active: str = "", rest: str = "", reason: int = 0) -> Task:
    """A task with this `state` and the fields of its process."""
    process = f"<active_task>{active}<elapsed_time>5</elapsed_time></active_task>" if active else ""
    found = read(
        f"<boinc_gui_rpc_reply><cc_status><task_suspend_reason>{reason}</task_suspend_reason></cc_status>"
        "</boinc_gui_rpc_reply><boinc_gui_rpc_reply><results><result><name>t</name>"
        f"<state>{state}</state>{process}{rest}</result></results></boinc_gui_rpc_reply>".encode()
    )
    return found.tasks[0]


RUNNING = "<active_task_state>1</active_task_state><scheduler_state>2</scheduler_state>"
PAUSED = "<active_task_state>9</active_task_state><scheduler_state>2</scheduler_state>"
PREEMPTED = "<active_task_state>0</active_task_state><scheduler_state>1</scheduler_state>"


def test_a_pc_that_computes() -> None:
    found = captured("computing")
    assert (found.doing, found.running, found.suspended) == (Doing.COMPUTING, 1, "")
    assert (found.task_mode, found.gpu_mode, found.network_mode) == ("according to prefs",) * 3
    assert found.tasks == (Task("count_host1_1", URL, "running", 0.01, 12.229, 594.0, 1796607328.0, True),)
    assert found.projects == (ProjectCondition(URL, "Fake", 1, 0.0, 0.0, 0, 0, False, False, 0, 0, 1796002543.027),)
    assert len(found.messages) == MOST_MESSAGES
    assert found.messages[-1] == BoincMessage(1796002541.0, "Fake", "Project requested delay of 2 seconds", 1)


def test_a_pc_whose_key_is_refused() -> None:
    found = captured("refused")
    assert (found.doing, found.tasks) == (Doing.IDLE, ())
    said = "Message from server: Invalid or missing account key. To fix, remove and add this project."
    assert found.messages[-2] == BoincMessage(1796002562.0, URL, said, 2)
    assert found.projects[0].next_contact == 1796088962.13, "in a day"


def test_a_pc_that_is_suspended() -> None:
    found = captured("suspended")
    assert (found.doing, found.suspended, found.task_mode) == (Doing.SUSPENDED, "user request", "never")
    assert (found.tasks[0].state, found.tasks[0].active) == ("suspended: user request", False)


def test_a_pc_whose_project_is_away() -> None:
    (project,) = captured("away").projects
    assert (project.scheduler_failures, project.master_failures, project.host_id) == (1, 1, 0)


def test_a_captured_reply_that_was_cut_anywhere_is_read() -> None:
    whole = (REPLIES / "computing.xml").read_bytes()
    for end in range(0, len(whole), 97):
        found = read(whole[:end])
        assert {each.name for each in found.tasks} <= {"count_host1_1"}
        assert from_json(to_json(found)) == found


@pytest.mark.parametrize(
    ("found", "state", "active"),
    [
        (task("0"), "new", False),
        (task("1"), "downloading", False),
        (task("2"), "ready to start", False),
        (task("2", RUNNING), "running", True),
        (task("2", PREEMPTED), "waiting to run", False),
        (task("2", PAUSED, reason=8), "suspended: time of day", False),
        (task("2", PAUSED, reason=64), "running", True),
        (task("2", PREEMPTED + "<too_large/>"), "waiting for memory", False),
        (task("2", RUNNING, "<suspended_via_gui/>"), "suspended by user", False),
        (task("2", "", "<project_suspended_via_gui/>"), "project suspended by user", False),
        (task("2", PREEMPTED, "<scheduler_wait/>"), "postponed", False),
        (task("3"), "computation error", False),
        (task("3", "", "<ready_to_report/>"), "ready to report", False),
        (task("4"), "uploading", False),
        (task("5", "", "<ready_to_report/>"), "ready to report", False),
        (task("6"), "aborted", False),
        (task("7"), "upload failed", False),
        (task("77"), "unknown", False),
    ],
)
def test_the_state_of_a_task_in_words(found: Task, state: str, active: bool) -> None:
    assert (found.state, found.active) == (state, active)
    assert found.fraction == (1.0 if state == "uploading" or (state == "ready to report" and found.fraction) else 0.0)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, ""),
        (-5, ""),
        (1, "on batteries"),
        (2, "computer is in use"),
        (4, "user request"),
        (8, "time of day"),
        (16, "CPU benchmarks in progress"),
        (32, "need disk space - check preferences"),
        (64, ""),
        (128, "no recent user activity"),
        (256, "initial delay"),
        (512, "an exclusive app is running"),
        (1024, "CPU is busy"),
        (2048, "network transfer limit exceeded"),
        (2 | 8, "computer is in use, time of day"),
        (64 | 8, "time of day"),
        (4096, "requested by operating system"),
        (4097, "not connected to WiFi network"),
        (4098, "battery low"),
        (4099, "battery thermal protection"),
        (4100, "GUI not active"),
        (4101, "unknown reason"),
        (1 << 40, "unknown reason"),
    ],
)
def test_why_boinc_is_suspended(number: int, words: str) -> None:
    assert suspend_reason(number) == words


def test_no_answer_at_all() -> None:
    for nothing in (b"", b"<boinc_gui_rpc_reply><unauthorized/></boinc_gui_rpc_reply>", b"\x00\xff<<<"):
        assert read(nothing) == Condition()


@pytest.mark.parametrize("number", ["nan", "inf", "-1", "1e99", "9" * 5000, "", "1_0", "٣", "0x1f"])
def test_numbers_that_are_none_are_bounded(number: str) -> None:
    xml = (
        f"<boinc_gui_rpc_reply><results><result><name>t</name><report_deadline>{number}</report_deadline>"
        f"<final_elapsed_time>{number}</final_elapsed_time></result></results><projects><project>"
        f"<master_url>u</master_url><hostid>{number}</hostid><host_total_credit>{number}</host_total_credit>"
        "</project></projects></boinc_gui_rpc_reply>"
    )
    found = read(xml.encode())
    assert 0 <= found.tasks[0].deadline < 1e12
    assert 0 <= found.tasks[0].elapsed <= 1e15
    assert 0 <= found.projects[0].host_id < 10**15
    assert from_json(to_json(found)) == found


def test_foreign_words_are_harmless_and_short() -> None:
    xml = "<results><result><name>\x1b[2J\u202e" + "n" * 900 + "</name></result></results>"
    (found,) = read(f"<boinc_gui_rpc_reply>{xml}</boinc_gui_rpc_reply>".encode()).tasks
    assert found.name.startswith("\\x1b[2J\\u202enn")
    assert len(found.name) == 120


def test_running_tasks_are_kept_before_the_others() -> None:
    waiting = b"<result><name>w</name><state>2</state></result>" * (MOST_TASKS + 50)
    running = b"<result><name>r</name><state>2</state><active_task>" + RUNNING.encode() + b"</active_task></result>"
    found = read(b"<boinc_gui_rpc_reply><results>" + waiting + running + b"</results></boinc_gui_rpc_reply>")
    assert len(found.tasks) == MOST_TASKS
    assert (found.tasks[0].name, found.running) == ("r", 1)


FULL = replace(captured("computing"), since=17.5, suspended="time of day, é", network_suspended="x")


@pytest.mark.parametrize("found", [Condition(), FULL, *map(captured, ("refused", "suspended", "away"))])
def test_json_both_ways(found: Condition) -> None:
    text = to_json(found)
    assert from_json(text) == found
    assert doing_of(text) is found.doing
    assert len(text) < 4000, "bytes for each PC"


def test_what_was_not_read_is_the_empty_condition() -> None:
    assert from_json("{}") == Condition()
    assert doing_of("{}") is Doing.NO_ANSWER


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "[" * 100_000,
        '{"doing":"computing"}',
        to_json(Condition()).replace('"doing":""', '"doing":"sleeping"'),
        to_json(Condition()).replace('"since":0.0', '"since":"0"'),
        to_json(Condition()).replace('"since":0.0', '"since":NaN'),
        to_json(Condition()).replace('"tasks":[]', '"tasks":[[1]]'),
        to_json(Condition()).replace('"tasks":[]', '"tasks":[["a","b","c",0,0,0,0,1]]'),
        to_json(Condition()).replace('"messages":[]', '"messages":7'),
    ],
)
def test_json_that_the_program_did_not_write(text: str) -> None:
    with pytest.raises(ValueError, match="BOINC's condition cannot be read"):
        from_json(text)


def test_a_beginning_that_the_program_did_not_write() -> None:
    for text in ("", "null", '{"doing":"x', json.dumps({"since": 1})):
        with pytest.raises(ValueError, match=r"does not begin|not a valid Doing"):
            doing_of(text)


def line(number: int) -> BoincMessage:
    return BoincMessage(float(number), "", f"line {number}", 1)


def test_messages_add_up_from_heartbeat_to_heartbeat() -> None:
    before = Condition(messages=tuple(map(line, range(30))))
    after = follow(before, Condition(messages=(line(29), line(30))), 5.0)
    assert after.messages == tuple(map(line, range(31)))
    assert len(follow(after, Condition(messages=tuple(map(line, range(40, 60)))), 6.0).messages) == MOST_MESSAGES


def test_since_when_boinc_does_the_same() -> None:
    idle, computing = Condition(doing=Doing.IDLE), Condition(doing=Doing.COMPUTING)
    first = follow(Condition(), idle, 100.0)
    assert first.since == 100.0
    assert follow(first, idle, 160.0).since == 100.0
    assert follow(first, computing, 160.0).since == 160.0
    night = replace(idle, doing=Doing.SUSPENDED, suspended="time of day")
    in_use = replace(night, suspended="computer is in use")
    assert follow(follow(first, night, 160.0), in_use, 220.0).since == 220.0


def test_projects_are_kept_while_boinc_does_not_answer() -> None:
    before = captured("computing")
    silent = follow(before, Condition(), 5.0)
    assert (silent.doing, silent.tasks, silent.projects) == (Doing.NO_ANSWER, (), before.projects)
    assert follow(before, Condition(doing=Doing.IDLE), 5.0).projects == ()
