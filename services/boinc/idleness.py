"""Why BOINC has nothing to compute, from its projects and its latest messages. PURE.

BOINC does not say it in one place. Its event log does, in words of the client and of the project's scheduler; the
patterns here are those of client 7.20 and scheduler 8.3 (client/cs_scheduler.cpp, client/scheduler_op.cpp,
sched/sched_send.cpp, sched/handle_request.cpp).
"""

import re

from services.boinc.condition import BoincMessage, Condition, ProjectCondition

KEY_REFUSED = "the project refuses the account key"
KEY_CURE = (
    "put the account's current weak key into the configuration (a new password changes the key), then:"
    " netboot-appliance reload"
)
NOT_REACHABLE = "the project is not reachable"
NO_INTERNET = "BOINC cannot reach the Internet"

_WORDS = (
    (r"bad authenticator|(?:missing|invalid|bad|wrong) account key", KEY_REFUSED),
    (r"temporarily (?:shut|down)|down for maintenance|project is down|no more work.*shut", "the project is shut down"),
    (
        r"(?:scheduler request|project communication|master file download|scheduler list .*) failed"
        r"|couldn't (?:connect|resolve)|temporarily failed|servers may be temporarily down",
        NOT_REACHABLE,
    ),
    (r"daily quota", "the project's daily quota for this PC is used up"),
    (r"limit on tasks in progress", "the project's limit on tasks in progress is reached"),
    (r"disk space|MB (?:more )?disk|disk is full", "not enough disk space"),
    (r"memory", "not enough memory"),
    (r"not accept them", "the account's preferences accept no such tasks"),
    (r"no new tasks", "no new tasks are asked for"),
    (r"not available for your type|platform|no applications? ", "the project has nothing for this kind of PC"),
    (r"got 0 new tasks|no (?:work|tasks|jobs) (?:is |are )?(?:sent|available)|no work sent", "the project has no work"),
)
_WHY = [(re.compile(pattern, re.IGNORECASE), why) for pattern, why in _WORDS]
_GOOD = re.compile(r"got [1-9]\d* new tasks|^Started download")
"""After such a line, what was wrong before it is over."""

_AT_WORK = re.compile(r"^Starting task|^Computation for task")
"""After such a line too, but for a refused key: BOINC goes on with the tasks that it has."""

_ROUTINE = re.compile(
    r"^Not requesting tasks|^Requesting new tasks|^Sending scheduler request|^Scheduler request completed$"
)
"""Lines that stand before or after the ones that tell."""


def why_idle(condition: Condition) -> str:
    """In a few words, or empty if nothing tells."""
    projects = condition.projects
    waiting = next((t.state for t in condition.tasks if t.state in ("downloading", "uploading")), "")
    if waiting:
        return f"{waiting} files"
    if held_up := next((t.state for t in condition.tasks if t.state.startswith(("waiting for", "postponed"))), ""):
        return f"its tasks are {held_up}"
    if condition.network_suspended:
        return f"BOINC's network is suspended: {condition.network_suspended}"
    if projects and all(each.suspended for each in projects):
        return "its projects are suspended" if len(projects) > 1 else "its project is suspended"
    if projects and all(each.no_more_work or each.suspended for each in projects):
        return "no new tasks are asked for"
    if said := _of_messages(condition):
        return said
    if not projects:
        return "no project is attached"
    return NOT_REACHABLE if all(map(_fails, projects)) else ""


def key_refused(condition: Condition) -> bool:
    """Whether the project's latest answer was that it does not know the account key."""
    return _of_messages(condition) == KEY_REFUSED


def next_contact(condition: Condition) -> float:
    """When BOINC may ask a project for work again, in seconds since the epoch; 0: at any time."""
    asked = [each.next_contact for each in condition.projects if not (each.suspended or each.no_more_work)]
    return min(asked, default=0.0)


def _of_messages(condition: Condition) -> str:
    at_work = False
    for message in reversed(condition.messages):
        if _GOOD.search(message.text):
            return ""
        at_work = at_work or bool(_AT_WORK.search(message.text))
        found = _of_message(message)
        if at_work and (found or message.text.startswith("Scheduler request completed")):
            return KEY_REFUSED if found == KEY_REFUSED else ""
        if found:
            return found
    return ""


def _of_message(message: BoincMessage) -> str:
    if message.text.startswith("BOINC can't access Internet"):
        return NO_INTERNET
    if message.project and not _ROUTINE.search(message.text):
        return next((why for pattern, why in _WHY if pattern.search(message.text)), "")
    return ""


def _fails(project: ProjectCondition) -> bool:
    return project.scheduler_failures > 0 or project.master_failures > 0
