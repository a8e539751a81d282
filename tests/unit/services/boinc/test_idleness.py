"""Why a PC has nothing to compute: from what a real client said, and from single lines of its log."""

from dataclasses import replace
from pathlib import Path

import pytest

from services.boinc.condition import BoincMessage, Condition, Doing, ProjectCondition, Task, read
from services.boinc.idleness import key_refused, next_contact, why_idle

REPLIES = Path(__file__).parent / "replies"
PROJECT = ProjectCondition("http://p/", "P", 1, 0.0, 0.0, 0, 0, False, False, 0, 0, 0.0)
IDLE = Condition(doing=Doing.IDLE, projects=(PROJECT,))


def saying(*lines: str, project: str = "P") -> Condition:
    return replace(IDLE, messages=tuple(BoincMessage(1.0, project, text, 1) for text in lines))


@pytest.mark.parametrize(
    ("name", "why"),
    [("refused", "the project refuses the account key"), ("away", "the project is not reachable")],
)
def test_what_a_real_client_said(name: str, why: str) -> None:
    found = read((REPLIES / f"{name}.xml").read_bytes())
    assert why_idle(found) == why
    assert key_refused(found) == (name == "refused")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Message from server: Bad authenticator", "the project refuses the account key"),
        ("Message from server: Invalid or missing account key.  To fix, remove and add this project.",
         "the project refuses the account key"),
        ("Scheduler request completed: got 0 new tasks", "the project has no work"),
        ("No tasks sent", "the project has no work"),
        ("No tasks are available for Rosetta", "the project has no work"),
        ("No work available", "the project has no work"),
        ("Project has no jobs available", "the project has no work"),
        ("Project is temporarily shut down for maintenance", "the project is shut down"),
        ("Scheduler request failed: Couldn't resolve host name", "the project is not reachable"),
        ("Scheduler request failed: HTTP internal server error", "the project is not reachable"),
        ("Master file download failed", "the project is not reachable"),
        ("This computer has finished a daily quota of 8 tasks", "the project's daily quota for this PC is used up"),
        ("This computer has reached a limit on tasks in progress",
         "the project's limit on tasks in progress is reached"),
        ("Rosetta needs 1907.35MB more disk space.  You currently have 0.00 MB available and it needs 1907.35 MB.",
         "not enough disk space"),
        ("Rosetta needs 3814.70 MB RAM but only 900.00 MB is available for use: not enough memory",
         "not enough memory"),
        ("Tasks for CPU are available, but your preferences are set to not accept them",
         "the account's preferences accept no such tasks"),
        ("This project doesn't support computers of type arm: platform",
         "the project has nothing for this kind of PC"),
        ("Something else", ""),
    ],
)  # fmt: skip
def test_a_line_of_the_log(text: str, why: str) -> None:
    assert why_idle(saying(text)) == why


@pytest.mark.parametrize(
    "text",
    ["max memory usage when active: 14463.33 MB", "max disk usage: 1.00 GB", "Bad authenticator"],
)
def test_what_boinc_says_of_itself_is_no_reason(text: str) -> None:
    assert why_idle(saying(text, project="")) == ""


def test_the_internet_is_nobodys_project() -> None:
    text = "BOINC can't access Internet - check network connection or proxy configuration."
    assert why_idle(saying("Scheduler request failed: Timeout was reached", text, project="")) == (
        "BOINC cannot reach the Internet"
    )


def test_a_refused_key_is_not_over_when_a_task_ends() -> None:
    refused = "Message from server: Invalid or missing account key. To fix, remove and add this project."
    at_work = (
        "Computation for task t finished",
        "Started upload of t_output",
        "Finished upload of t_output (33 bytes)",
    )
    heard = ("Scheduler request completed: got 0 new tasks", refused, "Project requested delay of 3600 seconds")
    assert key_refused(saying(*heard, *at_work))
    assert not key_refused(saying(*heard, "Scheduler request completed", *at_work))
    assert not key_refused(saying(*heard, "Scheduler request completed: got 1 new tasks", *at_work))
    assert why_idle(saying("Scheduler request failed: Timeout was reached", *at_work)) == ""


def test_the_latest_line_that_tells_counts() -> None:
    refused, none = "Message from server: Bad authenticator", "Scheduler request completed: got 0 new tasks"
    routine = ("Sending scheduler request: To fetch work.", "Requesting new tasks for CPU")
    assert why_idle(saying(refused, *routine, none)) == "the project has no work"
    assert why_idle(saying(none, refused, *routine)) == "the project refuses the account key"
    assert why_idle(saying(refused, "Scheduler request completed: got 3 new tasks")) == ""
    assert why_idle(saying(none, "Starting task x")) == ""


@pytest.mark.parametrize(
    ("condition", "why"),
    [
        (Condition(doing=Doing.IDLE), "no project is attached"),
        (replace(IDLE, network_suspended="time of day"), "BOINC's network is suspended: time of day"),
        (replace(IDLE, projects=(replace(PROJECT, suspended=True),)), "its project is suspended"),
        (replace(IDLE, projects=(replace(PROJECT, suspended=True),) * 2), "its projects are suspended"),
        (replace(IDLE, projects=(replace(PROJECT, no_more_work=True),)), "no new tasks are asked for"),
        (replace(IDLE, projects=(replace(PROJECT, no_more_work=True), PROJECT)), ""),
        (replace(IDLE, projects=(replace(PROJECT, scheduler_failures=2),)), "the project is not reachable"),
        (replace(IDLE, projects=(replace(PROJECT, master_failures=2), PROJECT)), ""),
        (replace(IDLE, tasks=(Task("t", "", "downloading", 0.0, 0.0, 0.0, 0.0, False),)), "downloading files"),
        (replace(IDLE, tasks=(Task("t", "", "waiting for memory", 0.0, 0.0, 0.0, 0.0, False),)),
         "its tasks are waiting for memory"),
    ],
)  # fmt: skip
def test_what_projects_and_tasks_tell(condition: Condition, why: str) -> None:
    assert why_idle(condition) == why


def test_when_boinc_asks_again() -> None:
    later = replace(PROJECT, next_contact=500.0)
    assert next_contact(Condition()) == 0.0
    assert next_contact(replace(IDLE, projects=(later,))) == 500.0
    assert next_contact(replace(IDLE, projects=(later, PROJECT))) == 0.0
    assert next_contact(replace(IDLE, projects=(later, replace(PROJECT, no_more_work=True)))) == 500.0
