"""The box's orders, carried out by the live system's agent: each once in a boot, and told before the PC goes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.boinc_client import Project, Task
from tests.unit.debian import need
from tests.unit.image.agent_room import Pc

URL = "https://project.example/"


@pytest.fixture
def pc(tmp_path: Path) -> Iterator[Pc]:
    need("curl")
    made = Pc(tmp_path)
    yield made
    made.close()


def change(verb: str, url: str = URL) -> str:
    return f"<project_{verb}><project_url>{url}</project_url></project_{verb}>"


def mode(name: str, seconds: int) -> str:
    return f"<set_run_mode><{name}/><duration>{seconds}</duration></set_run_mode>"


def computing(pc: Pc) -> None:
    pc.start()
    pc.waits_for(lambda: "computing" in pc.box.stages(), "computing")


def test_an_order_is_carried_out_once_and_its_end_is_told_until_it_is_heard(pc: Pc) -> None:
    pc.box.replies = [b"order=12 update\nnext=60\n", 503, b"order=12 update\n", b"next=60\n"]
    computing(pc)
    pc.waits_for(lambda: len(pc.box.orders()) >= 3, "told three times: refused, sent again, acknowledged")
    pc.beats(2)
    assert pc.box.orders() == ["12 done"] * 3
    assert pc.condition.changes == [change("update")]


def test_an_agent_that_is_started_again_does_nothing_twice(pc: Pc) -> None:
    pc.box.replies = [b"order=12 update\nnext=60\n"]
    computing(pc)
    pc.waits_for(lambda: "12 done" in pc.box.orders(), "told")
    pc.stop()
    (pc.root / "run/netboot-appliance/orders/13").write_text("running\n")
    pc.start()
    pc.waits_for(lambda: "13 failed: the agent was restarted meanwhile" in pc.box.orders(), "the other one is told")
    assert pc.condition.changes == [change("update")]


def test_suspend_lasts_until_resume_and_not_longer_than_this_boot(pc: Pc) -> None:
    """A run mode with a duration is forgotten by BOINC when it ends; what BOINC Manager chose stays."""
    pc.box.replies = [b"order=1 suspend\n"]
    computing(pc)
    pc.waits_for(lambda: pc.condition.changes.count(mode("never", 3600)) >= 3, "said again and again")
    pc.stop()
    before = len(pc.condition.changes)
    pc.start()
    pc.waits_for(lambda: len(pc.condition.changes) > before, "by the next agent too")
    assert set(pc.condition.changes) == {mode("never", 3600)}
    pc.box.replies = [b"order=2 resume\n"]
    pc.waits_for(lambda: "2 done" in pc.box.orders(), "resumed")
    assert pc.condition.changes[-1] == mode("auto", 0)
    pc.beats(3)
    assert pc.condition.changes[-1] == mode("auto", 0)


def test_an_order_that_boinc_does_not_hear_has_failed(pc: Pc) -> None:
    pc.condition.behaviour = "closed"
    pc.box.replies = [b"order=1 suspend\norder=2 resume\norder=3 update\norder=4 finish\norder=5 dance\n"]
    pc.start()
    pc.waits_for(lambda: len(pc.box.orders()) >= 5, "all are told")
    assert sorted(pc.box.orders()[:5]) == [
        *(f"{number} failed: BOINC does not answer" for number in (1, 2, 3, 4)),
        "5 failed: this image does not know the order",
    ]


@pytest.mark.parametrize(("verb", "how"), [("off", "poweroff"), ("reboot", "reboot")])
def test_a_pc_goes_when_the_box_knows_that_it_does(pc: Pc, verb: str, how: str) -> None:
    """Otherwise the order would come again at the next boot."""
    pc.box.replies = [f"order=1 {verb}\n".encode(), 503, 503, b"next=60\n"]
    pc.start()
    pc.beats(3)
    assert pc.told("systemctl") == []
    pc.waits_for(lambda: pc.told("systemctl") != [], "it goes")
    assert pc.told("systemctl")[0] == how
    assert pc.box.orders() == ["1 done"] * 3


@pytest.mark.parametrize(("verb", "how"), [("finish", "poweroff"), ("finish-disk", "reboot")])
def test_finish_ends_when_nothing_is_left_to_report(pc: Pc, verb: str, how: str) -> None:
    other = Project("https://other.example/", no_new_work=True)
    pc.condition.projects.append(other)
    pc.box.replies = [f"order=1 {verb}\n".encode()]
    computing(pc)
    pc.waits_for(lambda: pc.condition.projects[0].no_new_work, "no new work")
    pc.beats(3)
    assert pc.box.orders() == pc.told("systemctl") == []
    pc.condition.tasks = [Task("task_1", state=5)]
    pc.waits_for(lambda: change("update") in pc.condition.changes, "it is asked to report")
    pc.beats(2)
    assert pc.box.orders() == []
    pc.condition.tasks = []
    pc.waits_for(lambda: pc.told("systemctl") != [], "it goes")
    assert (pc.told("systemctl")[0], pc.box.orders()) == (how, ["1 done"])


def test_the_next_boot_takes_new_work_again_where_a_finish_had_forbidden_it(pc: Pc) -> None:
    pc.condition.projects.append(Project("https://other.example/", no_new_work=True))
    pc.box.replies = [b"order=1 finish\n", b"next=60\n"]
    computing(pc)
    pc.waits_for((pc.root / "run/netboot-appliance/finishing").exists, "no new work")
    pc.stop()
    # The power goes: what was in memory is lost, the state directory is kept.
    for name in ("orders/1", "finishing"):
        (pc.root / "run/netboot-appliance" / name).unlink()
    pc.condition.changes.clear()
    pc.start()
    pc.waits_for(lambda: change("allowmorework") in pc.condition.changes, "new work")
    pc.beats(2)
    assert pc.condition.changes == [change("allowmorework")], "what somebody else forbade stays forbidden"


def test_a_finish_that_is_sent_again_at_the_next_boot_takes_no_new_work_between(pc: Pc) -> None:
    (pc.root / "data/netboot_no_new_work").write_text(f"{URL}\n")
    pc.box.replies = [b"order=1 finish\n"]
    computing(pc)
    pc.beats(3)
    assert change("allowmorework") not in pc.condition.changes


def test_resume_ends_a_finish(pc: Pc) -> None:
    pc.box.replies = [b"order=1 finish\n", b"order=2 resume\n", b"next=60\n"]
    computing(pc)
    pc.waits_for(lambda: len(pc.box.orders()) == 2, "both are told")
    assert sorted(pc.box.orders()) == ["1 failed: a resume came before it had ended", "2 done"]
    assert change("allowmorework") in pc.condition.changes
    pc.condition.tasks = []
    pc.beats(3)
    assert pc.told("systemctl") == []


def test_a_note_of_strangers_allows_work_of_no_other_project(pc: Pc) -> None:
    """Science applications can write into the state directory."""
    (pc.root / "data/netboot_no_new_work").write_text(f"https://evil.example/</project_url>\n.*\n{URL}x\n")
    computing(pc)
    pc.beats(3)
    assert pc.condition.changes == []


def test_before_the_pc_goes_finished_tasks_are_reported(pc: Pc) -> None:
    pc.condition.tasks = [Task("a", state=5), Task("b", "https://other.example/", state=4), Task("c")]
    done = pc.run("farewell")
    assert pc.condition.changes == [change("update", "https://other.example/"), change("update")]
    assert (done.returncode, done.stderr) == (0, "")
    assert "some finished tasks are not reported" in done.stdout
    assert pc.uptime < 40
    pc.condition.changes.clear()
    pc.condition.tasks = [Task("c")]
    assert pc.run("farewell").stdout == (
        "shutting down; tasks save their work, and what is finished is reported first\n"
        "tasks that ran: 1; without a checkpoint since: 0\n"
    )
    assert pc.condition.changes == []


def test_a_boinc_that_does_not_answer_delays_no_shutdown(pc: Pc) -> None:
    pc.condition.behaviour = "silent"
    assert pc.run("farewell").returncode == 0
    assert pc.uptime < 13


def test_a_pc_that_is_switched_off_says_so_and_one_that_restarts_does_not(pc: Pc) -> None:
    (pc.root / "jobs").write_text("131 shutdown.target start waiting\n132 reboot.target start waiting\n")
    pc.run("off")
    assert pc.box.stages() == []
    (pc.root / "jobs").write_text("131 shutdown.target start waiting\n132 poweroff.target start waiting\n")
    pc.run("off")
    assert pc.box.stages() == ["off"]


def test_before_a_pc_goes_off_its_cards_listen_for_the_packet_that_switches_it_on(pc: Pc) -> None:
    pc.program(
        "ethtool", 'echo "$*" >> ROOT/ethtool\n[ "$2" = eth9 ] || { echo "Operation not supported" >&2; exit 1; }\n'
    )
    wakeup = pc.root / "class/net/eth9/device/power/wakeup"
    wakeup.parent.mkdir()
    wakeup.write_text("disabled\n")
    # One that cannot, and one that is no card.
    (pc.root / "class/net/eth10/device").mkdir(parents=True)
    (pc.root / "class/net/lo").mkdir()
    for name in ("eth10", "lo"):
        (pc.root / "class/net" / name / "address").write_text("52:54:00:00:00:01\n")
    (pc.root / "jobs").write_text("132 reboot.target start waiting\n")
    assert pc.run("off").stdout == ""
    assert pc.told("ethtool") == []
    (pc.root / "jobs").write_text("132 poweroff.target start waiting\n")
    said = pc.run("off").stdout
    assert sorted(pc.told("ethtool")) == ["-s eth10 wol g", "-s eth9 wol g"]
    assert wakeup.read_text() == "enabled\n"
    assert "eth9 listens for the packet that switches this PC on\n" in said
    assert "eth10 cannot be told to listen for the packet that switches this PC on: Operation not supported\n" in said
    assert pc.box.stages() == ["off"]


def test_a_box_that_is_away_delays_no_shutdown(pc: Pc) -> None:
    (pc.root / "jobs").write_text("132 poweroff.target start waiting\n")
    pc.box.shutdown()
    pc.box.server_close()
    began = pc.uptime
    assert pc.run("off").returncode == 0
    assert pc.uptime - began <= 5


def test_an_application_that_stops_our_programs_stops_no_heartbeat(pc: Pc) -> None:
    """They run as its own user while they read and write the note of finished projects."""
    pc.program("setpriv", 'while [ "$1" != -- ]; do shift; done\nshift\n[ "$1" = head ] || kill -STOP $$\nexec "$@"\n')
    pc.box.replies = [b"order=1 finish\n", b"order=2 resume\n", b""]
    pc.start()
    pc.beats(5)
    assert pc.box.orders()[0] == "1 failed: BOINC does not answer"
