"""Before a PC goes: its tasks write checkpoints, for as long as whoever wants the PC has patience."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.boinc_client import Task
from tests.unit.debian import need
from tests.unit.image.agent_room import Pc


@pytest.fixture
def pc(tmp_path: Path) -> Iterator[Pc]:
    need("curl")
    made = Pc(tmp_path)
    yield made
    made.close()


def leaving(pc: Pc, how: str) -> None:
    (pc.root / "run/netboot-appliance/leaving").write_text(f"{how}\n")


@pytest.mark.parametrize(("how", "patience"), [("owner", 8), ("", 20), ("disk", 60), ("off", 60)])
def test_a_task_that_saves_nothing_is_waited_for_only_so_long(pc: Pc, how: str, patience: int) -> None:
    if how:
        leaving(pc, how)
    pc.haste(3)
    pc.condition.tasks = [Task("saved", checkpoint=470), Task("late", checkpoint=460), Task("ready", running=False)]
    began = pc.uptime
    assert "tasks that ran: 2; without a checkpoint since: 1" in pc.run("farewell").stdout
    assert patience <= pc.uptime - began <= patience + 3


def test_it_goes_as_soon_as_each_task_has_a_checkpoint_or_has_ended(pc: Pc) -> None:
    """What a task computes after the first look may be lost: it is no more than a second's work."""
    leaving(pc, "off")
    slow, ends, later = Task("slow", checkpoint=0.0), Task("ends", checkpoint=0.0), Task("later", checkpoint=0.0)
    pc.condition.tasks = [slow, ends]
    began = pc.uptime
    polls = iter(range(1, 1000))
    answer = pc.condition.answer

    def computing(request: str) -> str:
        if "get_results" in request:
            poll = next(polls)
            slow.cpu += 1
            if poll == 3:
                slow.checkpoint = 470.5
            if poll == 5:
                ends.state = 4
                pc.condition.tasks.append(later)
            if poll == 7:
                slow.checkpoint = slow.cpu - 1
                ends.state = 5
                pc.condition.tasks.remove(ends)
        return answer(request)

    pc.condition.answer = computing  # type: ignore[method-assign]
    assert "tasks that ran: 2; without a checkpoint since: 0" in pc.run("farewell").stdout
    assert 6 <= pc.uptime - began <= 8


def test_a_boinc_that_falls_silent_meanwhile_holds_nobody_up(pc: Pc) -> None:
    leaving(pc, "off")
    pc.condition.tasks = [Task("late", checkpoint=460)]
    done = threading.Event()

    def falls_silent() -> None:
        until = time.monotonic() + 60
        while pc.uptime < 20 and time.monotonic() < until:
            time.sleep(0.01)
        pc.condition.behaviour = "closed"
        done.set()

    threading.Thread(target=falls_silent, daemon=True).start()
    assert pc.run("farewell").returncode == 0
    assert done.wait(60)
    assert pc.uptime < 40
