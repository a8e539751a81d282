"""The part of `clients show` that the PC's heartbeat tells: the PC itself, BOINC's tasks, projects and messages, and
the orders that the PC was given."""

import time

from appliance.cli.output import say, show_table
from appliance.view.clients import ClientDetails, OrderView
from appliance.view.words import ago, moment
from services.boinc.condition import ProjectCondition, Task
from services.spans import span

_TASKS_SHOWN = 20
_MESSAGES_SHOWN = 10
_ORDERS_SHOWN = 10


def show_heartbeat(client: ClientDetails) -> None:
    """Print what the latest heartbeat said, and the latest orders."""
    if client.heard is not None:
        _show_pc(client)
        _show_boinc(client)
    if client.orders:
        say("", "Orders, latest first:")
        rows = [(str(each.id), each.verb, ago(each.given), outcome(each)) for each in client.orders[:_ORDERS_SHOWN]]
        show_table(("order", "what", "given", "result"), rows, "")


def outcome(order: OrderView) -> str:
    """How far an order has come."""
    if order.ended is not None:
        return f"{order.result}, {ago(order.ended)}"
    return "waits until the PC is heard" if order.sent is None else f"sent {ago(order.sent)}"


def _show_pc(client: ClientDetails) -> None:
    facts = client.facts
    say(f"heartbeat          {ago(client.heard or 0.0)}, up for {span(_number(facts.get('uptime', '')))}")
    model = ", ".join(filter(None, (facts.get("model"), facts.get("cpu"))))
    if model:
        say(f"PC                 {model}")
    if "load" in facts:
        say(f"load               {facts['load']} on {facts.get('cores', '?')} processors")
    if "memory_mb" in facts:
        say(f"memory             {facts.get('memory_free_mb', '?')} of {facts['memory_mb']} MB free")
    if facts.get("temperature"):
        say(f"temperature        {facts['temperature']} °C")
    if "card" in facts:
        say(f"network card       {facts['card']}")
    if "storage" in facts:
        say(f"disks, left alone  {facts['storage']}")
    if "state_directory" in facts:
        free = f", {facts['state_free_mb']} MB free" if "state_free_mb" in facts else ""
        say(f"its state          {facts['state_directory']}{free}")


def _show_boinc(client: ClientDetails) -> None:
    boinc = client.boinc
    modes = ((boinc.task_mode, "tasks"), (boinc.gpu_mode, "GPU"), (boinc.network_mode, "network"))
    if said := ", ".join(f"{name} {mode}" for mode, name in modes if mode):
        say(f"BOINC may run      {said}")
    if boinc.network_suspended:
        say(f"BOINC's network    suspended: {boinc.network_suspended}")
    if boinc.projects:
        names = {each.url: each.name for each in boinc.projects}
        say("")
        headings = ("project", "host", "credit", "average", "done", "failed", "")
        show_table(headings, [_project(each) for each in boinc.projects], "")
        say("")
        rows = [_task(each, names.get(each.project) or each.project) for each in boinc.tasks[:_TASKS_SHOWN]]
        show_table(("task", "project", "state", "done", "elapsed", "remaining", "deadline"), rows, "No tasks.")
        if (more := len(boinc.tasks) - _TASKS_SHOWN) > 0:
            say(f"… and {more} more (--json)")
    if boinc.messages:
        say("", "BOINC's latest messages, by the PC's clock:")
        for each in boinc.messages[-_MESSAGES_SHOWN:]:
            project = f"[{each.project}] " if each.project else ""
            say(f"  {moment(each.at)}  {'! ' if each.priority > 1 else ''}{project}{each.text}")


def _project(project: ProjectCondition) -> tuple[str, ...]:
    notes = []
    if project.suspended:
        notes.append("suspended")
    if project.no_more_work:
        notes.append("no new tasks")
    if project.scheduler_failures or project.master_failures:
        notes.append(f"{project.scheduler_failures + project.master_failures} failed requests")
    if (wait := project.next_contact - time.time()) > 0:
        notes.append(f"asked again in {span(wait)}")
    return (
        project.name or project.url,
        str(project.host_id or ""),
        f"{project.credit:,.0f}",
        f"{project.average:,.1f}",
        str(project.succeeded),
        str(project.failed),
        ", ".join(notes),
    )


def _task(task: Task, project: str) -> tuple[str, ...]:
    return (
        task.name,
        project,
        task.state,
        f"{100 * task.fraction:.0f} %",
        span(task.elapsed),
        span(task.remaining) if task.remaining else "",
        moment(task.deadline) if task.deadline else "",
    )


def _number(text: str) -> float:
    return float(text) if text.replace(".", "", 1).isascii() and text.replace(".", "", 1).isdigit() else 0.0
