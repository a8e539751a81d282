"""All that the page of a PC shows: what is known of it, in the order in which people ask. PURE."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from appliance.heartbeats.records import ENDS_A_BOOT
from appliance.heartbeats.states import ON, Kind
from appliance.view.boot_pace import BootPace, pace
from appliance.view.clients import ClientDetails, details
from appliance.view.facts import ClientRecord
from services.boinc.condition import BoincMessage, Task
from services.dhcp.machines import MACHINES
from services.http.heartbeats import OrderVerb

MOST_TASKS = 40
MOST_MESSAGES = 20

ORDERS = {
    OrderVerb.SUSPEND: ("Suspend", "It stops computing until you resume it."),
    OrderVerb.RESUME: ("Resume", "It computes again, if the project has work."),
    OrderVerb.UPDATE: ("Update project", "BOINC asks its project for work, and reports what is done."),
    OrderVerb.FINISH: (
        "Finish and power off",
        "It takes no new work, computes and reports what is there, and then switches itself off. This can take hours.",
    ),
    OrderVerb.FINISH_DISK: (
        "Finish, then its own disk",
        "It takes no new work, computes and reports what is there, and then starts its local disk once.",
    ),
    OrderVerb.OFF: (
        "Power off now",
        "Tasks stop at once and go on from their last checkpoint at the next boot. Nothing switches it on again.",
    ),
    OrderVerb.REBOOT: (
        "Restart now",
        "Tasks stop at once and go on from their last checkpoint after the restart, with the newest image.",
    ),
}
"""What a PC can be told: the words of its button, and what follows."""


@dataclass(frozen=True, slots=True)
class TaskLine:
    """A task of BOINC's, its project by name. `late`: its deadline passes before it can be done at this pace, or has
    passed."""

    task: Task
    project: str
    late: bool


@dataclass(frozen=True, slots=True)
class OrderButton:
    """An order that can be given. `ends`: it ends the boot, and a person is asked first."""

    verb: OrderVerb
    name: str
    meaning: str
    ends: bool


@dataclass(frozen=True, slots=True)
class PcPage:
    """A PC as its page shows it. `boots`: the latest first, `pace` is that of the latest, or None without a boot.
    `hardware` has names and values. `more` counts the tasks that are not shown. `waits`: an order reaches it only when
    it is heard again. `forgettable`: it is not on, as far as anybody can tell."""

    pc: ClientDetails
    pace: BootPace | None
    tasks: tuple[TaskLine, ...]
    more: int
    messages: tuple[BoincMessage, ...]
    hardware: tuple[tuple[str, str], ...]
    buttons: tuple[OrderButton, ...]
    waits: bool
    forgettable: bool

    @property
    def name(self) -> str:
        """What the administrator calls it."""
        return self.pc.client.label or self.pc.client.mac


def pc_page(record: ClientRecord, now: float) -> PcPage:
    """The page at `now`, in seconds since the epoch."""
    pc = details(record, now)
    kind = pc.client.now.kind if pc.client.now else None
    names = {each.url: each.name for each in pc.boinc.projects}
    tasks = [TaskLine(task, names.get(task.project) or task.project, _late(task, now)) for task in pc.boinc.tasks]
    architecture = record.boots[-1].architecture if record.boots else -1
    return PcPage(
        pc=pc,
        pace=pace(pc.boots[-1], pc.boots[:-1]) if pc.boots else None,
        tasks=tuple(tasks[:MOST_TASKS]),
        more=max(len(tasks) - MOST_TASKS, 0),
        messages=tuple(reversed(pc.boinc.messages[-MOST_MESSAGES:])),
        hardware=tuple(_hardware(pc.facts, architecture, pc)),
        buttons=_buttons(kind),
        waits=kind not in ON,
        forgettable=kind not in (*ON, Kind.UNHEARD),
    )


def _late(task: Task, now: float) -> bool:
    return 0 < task.deadline < now + (task.remaining if task.active else 0)


def _buttons(kind: Kind | None) -> tuple[OrderButton, ...]:
    verbs = [verb for verb in OrderVerb if not (kind is Kind.OFF and verb in ENDS_A_BOOT)]
    return tuple(OrderButton(verb, *ORDERS[verb], verb in ENDS_A_BOOT) for verb in verbs)


def _hardware(facts: Mapping[str, str], architecture: int, pc: ClientDetails) -> Sequence[tuple[str, str]]:
    machine = MACHINES.get(architecture)
    memory = facts.get("memory_mb", "")
    free = f", {facts['memory_free_mb']} MB free" if memory and "memory_free_mb" in facts else ""
    cores = facts.get("cores", "?")
    many = "1 core" if cores == "1" else f"{cores} cores"
    load = f"{facts['load']} on {many}" if "load" in facts else facts.get("cores", "")
    known = (
        ("Model", facts.get("model", "").strip()),
        ("Processor", facts.get("cpu", "")),
        ("Load", load),
        ("Memory", f"{memory} MB{free}" if memory else ""),
        ("Temperature", f"{facts['temperature']} °C" if facts.get("temperature") else ""),
        ("Network card", facts.get("card", "")),
        ("Firmware", machine.words if machine else ""),
        ("Boot offer", "; ".join(each.summary for each in pc.firmware)),
        ("Disks, left alone", facts.get("storage", "")),
    )
    return [(name, value) for name, value in known if value]
