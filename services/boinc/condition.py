"""What BOINC on a PC says of itself, as values: tasks, projects, messages, modes. PURE.

Read from the GUI RPC replies that a heartbeat brings: get_cc_status, get_project_status, get_results and get_messages,
of boinc-client 7.20 and its neighbours. Whatever the bytes are, what can be read is read, and nothing raises. All words
are foreign: they are made harmless and cut here. The numbers behind the words are those of BOINC's lib/common_defs.h.
"""

import json
import math
import re
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any

from services.boinc.replies import Fields, read_items
from services.foreign_text import printable

MOST_TASKS = 256
MOST_PROJECTS = 32
MOST_MESSAGES = 32
"""Kept: all running tasks before the others, and the latest messages."""

LONGEST_NAME = 120
LONGEST_MESSAGE = 300
_LATEST = 253_402_300_799.0
_NUMBER = re.compile(r"-?\d{1,18}(?:\.\d{1,18})?(?:e[+-]?\d{1,2})?")

_REASONS = {
    1: "on batteries",
    2: "computer is in use",
    4: "user request",
    8: "time of day",
    16: "CPU benchmarks in progress",
    32: "need disk space - check preferences",
    128: "no recent user activity",
    256: "initial delay",
    512: "an exclusive app is running",
    1024: "CPU is busy",
    2048: "network transfer limit exceeded",
}
_OTHER_REASONS = {
    4096: "requested by operating system",
    4097: "not connected to WiFi network",
    4098: "battery low",
    4099: "battery thermal protection",
    4100: "GUI not active",
}
_CPU_THROTTLE = 64
"""Tasks pause for parts of each second, to keep to a share of the processor. That is computing."""

_MODES = {"1": "always", "2": "according to prefs", "3": "never"}
_STATES = {
    "0": "new",
    "1": "downloading",
    "2": "ready to start",
    "3": "computation error",
    "4": "uploading",
    "5": "ready to report",
    "6": "aborted",
    "7": "upload failed",
}
_HELD_UP = {
    "suspended_via_gui": "suspended by user",
    "project_suspended_via_gui": "project suspended by user",
    "active_task/too_large": "waiting for memory",
    "active_task/needs_shmem": "waiting for shared memory",
    "gpu_mem_wait": "waiting for GPU memory",
    "active_task/gpu_mem_wait": "waiting for GPU memory",
    "coproc_missing": "GPU missing",
    "scheduler_wait": "postponed",
}


class Doing(StrEnum):
    """What BOINC does as a whole."""

    NO_ANSWER = ""
    COMPUTING = "computing"
    SUSPENDED = "suspended"
    IDLE = "idle"


@dataclass(frozen=True, slots=True)
class Task:
    """A task. `project` is the URL of its project, `state` is in BOINC Manager's words; `fraction` is done, from 0 to
    1; `elapsed` and `remaining` are in seconds, `deadline` in seconds since the epoch. `active`: it is running now."""

    name: str
    project: str
    state: str
    fraction: float
    elapsed: float
    remaining: float
    deadline: float
    active: bool


@dataclass(frozen=True, slots=True)
class ProjectCondition:
    """A project that the PC is attached to. `host_id` is 0 before it has one; `credit` is this PC's total, `average`
    its recent average a day. `next_contact`: BOINC will not ask before, in seconds since the epoch; 0: it may any
    time."""

    url: str
    name: str
    host_id: int
    credit: float
    average: float
    succeeded: int
    failed: int
    no_more_work: bool
    suspended: bool
    scheduler_failures: int
    master_failures: int
    next_contact: float


@dataclass(frozen=True, slots=True)
class BoincMessage:
    """A line of BOINC's event log. `at` is in seconds since the epoch by the PC's clock, `project` the name of a
    project or empty, `priority` 1 for information, 2 for an alert to the user, 3 for an error of BOINC or a project."""

    at: float
    project: str
    text: str
    priority: int


@dataclass(frozen=True, slots=True)
class Condition:
    """BOINC as a whole. Modes are "always", "according to prefs" or "never"; `suspended` and `network_suspended` say
    why in BOINC's own words, or are empty. `since`: when it began to do what it does, by the box's clock; 0: not known.
    Messages: the latest, oldest first."""

    doing: Doing = Doing.NO_ANSWER
    since: float = 0.0
    suspended: str = ""
    network_suspended: str = ""
    task_mode: str = ""
    gpu_mode: str = ""
    network_mode: str = ""
    tasks: tuple[Task, ...] = ()
    projects: tuple[ProjectCondition, ...] = ()
    messages: tuple[BoincMessage, ...] = ()

    @property
    def running(self) -> int:
        """How many tasks are running now."""
        return sum(task.active for task in self.tasks)


def read(xml: bytes) -> Condition:
    """What the replies say. Without a single one that BOINC gave, the condition is the empty one."""
    status: Fields = {}
    results: list[Fields] = []
    projects: list[ProjectCondition] = []
    messages: list[BoincMessage] = []
    for kind, item in read_items(xml):
        match kind:
            case "cc_status":
                status = item
            case "result":
                results.append(item)
            case "project" if "master_url" in item:
                projects.append(_project(item))
            case "msg":
                messages.append(_message(item))
    reason = _whole(status.get("task_suspend_reason", ""))
    suspended = suspend_reason(reason)
    tasks = sorted((_task(each, reason) for each in results if each.get("name")), key=lambda task: not task.active)
    if any(task.active for task in tasks):
        doing = Doing.COMPUTING
    elif suspended:
        doing = Doing.SUSPENDED
    else:
        doing = Doing.IDLE if status or tasks or projects else Doing.NO_ANSWER
    return Condition(
        doing=doing,
        suspended=suspended,
        network_suspended=suspend_reason(_whole(status.get("network_suspend_reason", ""))),
        task_mode=_MODES.get(status.get("task_mode", ""), ""),
        gpu_mode=_MODES.get(status.get("gpu_mode", ""), ""),
        network_mode=_MODES.get(status.get("network_mode", ""), ""),
        tasks=tuple(tasks[:MOST_TASKS]),
        projects=tuple(projects[:MOST_PROJECTS]),
        messages=tuple(messages[-MOST_MESSAGES:]),
    )


def follow(before: Condition, after: Condition, at: float) -> Condition:
    """The condition `after`, heard at `at`, as the one that follows `before` in the same boot. A heartbeat brings only
    new messages: the old ones are kept, and so is the moment since when BOINC does the same. If it did not answer, what
    was known of its projects stays."""
    old = dict.fromkeys(before.messages)
    messages = (*before.messages, *(new for new in after.messages if new not in old))[-MOST_MESSAGES:]
    same = (before.doing, before.suspended) == (after.doing, after.suspended) and before.since
    return replace(
        after,
        since=before.since if same else at,
        messages=messages,
        projects=after.projects or (before.projects if after.doing is Doing.NO_ANSWER else ()),
    )


def to_json(condition: Condition) -> str:
    """The condition as short as the registry keeps it: lists of the fields in their order. It begins with what BOINC
    does (`doing_of`)."""
    values: dict[str, Any] = {name: getattr(condition, name) for name in _PLAIN}
    for name, columns in _NAMES.items():
        values[name] = [[getattr(each, column) for column in columns] for each in getattr(condition, name)]
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"))


def from_json(text: str) -> Condition:
    """The condition that `to_json` wrote, or the empty one for `{}`; raises ValueError for what it cannot have
    written."""
    try:
        values = json.loads(text)
        if values == {}:
            return Condition()
        for name, (kind, shape) in _SHAPES.items():
            values[name] = tuple([kind(*_checked(shape, row)) for row in values[name]])
        _checked(_PLAIN_SHAPE, [values[name] for name in _PLAIN])
        values["doing"] = Doing(values["doing"])
        return Condition(**values)
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        raise ValueError("BOINC's condition cannot be read") from error


def doing_of(text: str) -> Doing:
    """What BOINC does, from the text that `to_json` wrote, without reading all of it; raises ValueError."""
    if text == "{}":
        return Doing.NO_ANSWER
    begins, _, rest = text.partition('{"doing":"')
    if begins or not rest:
        raise ValueError("BOINC's condition does not begin with what it does")
    return Doing(rest.partition('"')[0])


_PLAIN = ("doing", "since", "suspended", "network_suspended", "task_mode", "gpu_mode", "network_mode")
_PLAIN_SHAPE: tuple[Any, ...] = (str, float, str, str, str, str, str)
_LISTS: dict[str, Any] = {"tasks": Task, "projects": ProjectCondition, "messages": BoincMessage}
_NAMES = {name: tuple(field.name for field in fields(kind)) for name, kind in _LISTS.items()}
_SHAPES = {name: (kind, tuple(field.type for field in fields(kind))) for name, kind in _LISTS.items()}
_REAL = {shape: [i for i, kind in enumerate(shape) if kind is float] for _, shape in _SHAPES.values()}
_REAL[_PLAIN_SHAPE] = [_PLAIN_SHAPE.index(float)]


def _checked(shape: tuple[Any, ...], row: list[Any]) -> list[Any]:
    if tuple(map(type, row)) != shape:
        raise ValueError("a field has another type")
    for place in _REAL[shape]:
        if not math.isfinite(row[place]):
            raise ValueError("a number is out of range")
    return row


def suspend_reason(number: int) -> str:
    """Why BOINC has suspended tasks or its network, in its own words; empty if it has not, or only to keep to a share
    of the processor."""
    if number <= 0 or number == _CPU_THROTTLE:
        return ""
    if number >= min(_OTHER_REASONS):
        return _OTHER_REASONS.get(number, "unknown reason")
    return ", ".join(words for bit, words in _REASONS.items() if number & bit) or "unknown reason"


def _task(fields: Fields, reason: int) -> Task:
    state, active, seconds = _state(fields, reason)
    return Task(
        name=printable(fields["name"], LONGEST_NAME),
        project=printable(fields.get("project_url", ""), LONGEST_NAME),
        state=state,
        fraction=1.0 if fields.get("state") in ("4", "5") else min(_real(fields, "active_task/fraction_done"), 1.0),
        elapsed=seconds,
        remaining=_real(fields, "estimated_cpu_time_remaining"),
        deadline=_moment(fields, "report_deadline"),
        active=active,
    )


def _state(fields: Fields, reason: int) -> tuple[str, bool, float]:
    """The task's state in words, whether it is running now, and for how many seconds it has run."""
    state = fields.get("state", "")
    started = any(name.startswith("active_task/") for name in fields)
    if state != "2" or not started:
        words = _STATES.get(state, "unknown")
        if state in ("2", "3", "6") and "ready_to_report" in fields:
            words = "ready to report"
        held_up = next((said for name, said in _HELD_UP.items() if name in fields), "") if state == "2" else ""
        return held_up or words, False, _real(fields, "final_elapsed_time")
    seconds = _real(fields, "active_task/elapsed_time")
    scheduled = fields.get("active_task/scheduler_state") == "2"
    throttled = reason == _CPU_THROTTLE and fields.get("active_task/active_task_state") == "9"
    held_up = next((said for name, said in _HELD_UP.items() if name in fields), "")
    if scheduled and not held_up and (fields.get("active_task/active_task_state") == "1" or throttled):
        return "running", True, seconds
    suspended = suspend_reason(reason)
    return held_up or (f"suspended: {suspended}" if suspended else "waiting to run"), False, seconds


def _project(fields: Fields) -> ProjectCondition:
    # The client waits for both: the delay that the project asked for, and its own after a refused request for work.
    backoff = _moment(fields, "rsc_backoff_time/value") if fields.get("rsc_backoff_time/name") == "CPU" else 0.0
    return ProjectCondition(
        url=printable(fields["master_url"], LONGEST_NAME),
        name=printable(fields.get("project_name", ""), LONGEST_NAME),
        host_id=_whole(fields.get("hostid", "")),
        credit=_real(fields, "host_total_credit"),
        average=_real(fields, "host_expavg_credit"),
        succeeded=_whole(fields.get("njobs_success", "")),
        failed=_whole(fields.get("njobs_error", "")),
        no_more_work="dont_request_more_work" in fields,
        suspended="suspended_via_gui" in fields,
        scheduler_failures=_whole(fields.get("nrpc_failures", "")),
        master_failures=_whole(fields.get("master_fetch_failures", "")),
        next_contact=max(_moment(fields, "min_rpc_time"), backoff),
    )


def _message(fields: Fields) -> BoincMessage:
    return BoincMessage(
        at=_moment(fields, "time"),
        project=printable(fields.get("project", ""), LONGEST_NAME),
        text=printable(" ".join(fields.get("body", "").split()), LONGEST_MESSAGE),
        priority=min(_whole(fields.get("pri", "")), 9),
    )


def _whole(text: str) -> int:
    return int(text) if re.fullmatch(r"[0-9]{1,15}", text) else 0


def _real(fields: Fields, name: str) -> float:
    """A number that is not negative, with three digits behind the point; 0 if there is none."""
    text = fields.get(name, "")
    return round(min(max(float(text), 0.0), 1e15), 3) if _NUMBER.fullmatch(text) else 0.0


def _moment(fields: Fields, name: str) -> float:
    return min(_real(fields, name), _LATEST)
