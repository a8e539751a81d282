"""The end of a window, obeyed by the live system's agent: by the server's clock, once, and without the server too."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.http.heartbeats import HeartbeatReply, ToldWindow, WindowEnd, encode
from tests.unit.debian import need
from tests.unit.image.agent_room import Pc, head
from tests.unit.image.test_orders import change, computing, mode

NOW = 1790000000
"""The server's clock at the first heartbeat. The PC's own is not asked."""
KEPT = b"next=60\n"
"""A reply that says nothing of windows, since it has no time."""
SLACK = 15
"""Seconds between two looks of the agent."""
JITTER = 20
"""Seconds by which the third heartbeat may come early."""


@pytest.fixture
def pc(tmp_path: Path) -> Iterator[Pc]:
    need("curl")
    made = Pc(tmp_path)
    yield made
    made.close()


def reply(begin: int, end: int, action: str, *, now: int = 0, grace: int = 60, more: str = "") -> bytes:
    """A reply with a window; all moments are in seconds after NOW."""
    window = ToldWindow(NOW + begin, NOW + end, grace, WindowEnd(action))
    return encode(HeartbeatReply(NOW + now, 60, "", window=window)) + more.encode()


def told(pc: Pc) -> float:
    """Start the PC; its uptime at the heartbeat whose reply had the first window."""
    computing(pc)
    pc.waits_for((pc.root / "run/netboot-appliance/window").exists, "a window")
    return pc.box.times[0]


def ends(pc: Pc) -> None:
    pc.waits_for((pc.root / "run/netboot-appliance/ending").exists, "the end")


def gone(pc: Pc) -> str:
    """How the PC went."""
    pc.waits_for(lambda: pc.told("systemctl") != [], "it goes")
    return pc.told("systemctl")[0]


def test_a_pc_switches_off_at_the_end_though_the_server_is_silent_and_its_agent_was_restarted(pc: Pc) -> None:
    pc.box.replies = [reply(-600, 100, "off"), 503]
    first = told(pc)
    pc.stop()
    pc.start()
    ends(pc)
    assert 100 - 1 <= pc.uptime - first <= 100 + SLACK
    pc.waits_for(lambda: change("nomorework") in pc.condition.changes, "no new work")
    assert gone(pc) == "poweroff"
    # Up to 15 s before its grace is over, and then half a minute in which the server may still answer.
    assert 100 + 45 - 1 <= pc.uptime - first <= 100 + 60 + 30 + SLACK
    assert head(pc.box.heartbeats[-1])["leaving"] == "off"
    assert "within 60 seconds this PC switches off" in pc.journal


@pytest.mark.parametrize(("action", "how"), [("off", "poweroff"), ("disk", "reboot")])
def test_it_goes_as_soon_as_everything_is_reported_and_says_how(pc: Pc, action: str, how: str) -> None:
    pc.box.replies = [reply(-600, 120, action, grace=3000), KEPT]
    told(pc)
    ends(pc)
    pc.beats(2)
    assert pc.told("systemctl") == []
    pc.condition.tasks = []
    assert gone(pc) == how
    assert head(pc.box.heartbeats[-1])["leaving"] == action
    assert pc.uptime < 1000


def test_a_pc_that_was_switched_on_outside_is_left_alone_until_the_end_of_the_next_window(pc: Pc) -> None:
    pc.box.replies = [reply(100, 200, "off"), KEPT]
    first = told(pc)
    pc.waits_for(lambda: pc.uptime - first > 150, "the window")
    assert pc.condition.changes == []
    ends(pc)
    assert pc.uptime - first >= 200 - 1


@pytest.mark.parametrize(
    "later", [reply(-600, 90000, "off", now=60), f"time={NOW + 60}\n".encode()], ids=["end", "none"]
)
def test_another_reply_takes_the_place_of_an_end(pc: Pc, later: bytes) -> None:
    pc.box.replies = [reply(-600, 100, "off"), later]
    told(pc)
    pc.waits_for(lambda: pc.uptime > 180, "the first end has passed")
    assert not (pc.root / "run/netboot-appliance/ended").exists()
    assert pc.told("systemctl") == []


def test_a_pause_lasts_until_the_next_window_begins(pc: Pc) -> None:
    pc.box.replies = [reply(-600, 80, "suspend"), KEPT, reply(220, 300, "suspend", now=120), 503]
    first = told(pc)
    pc.waits_for(lambda: mode("never", 3600) in pc.condition.changes, "paused")
    assert pc.uptime - first >= 80 - 1
    assert head(pc.beats())["window"] == "closed"
    pc.waits_for(lambda: pc.condition.changes[-1] == mode("auto", 0), "the next window")
    assert pc.uptime - first >= 220 - 1 - JITTER
    assert pc.condition.changes.count(mode("never", 3600)) >= 3, "said again and again"
    pc.waits_for(lambda: pc.condition.changes[-1] == mode("never", 3600), "its end")
    assert pc.uptime - first >= 300 - 1 - JITTER
    assert pc.told("systemctl") == []


def test_a_window_that_is_longer_now_or_gone_ends_a_pause(pc: Pc) -> None:
    for later in (reply(-600, 9000, "suspend", now=180), f"time={NOW + 180}\n".encode()):
        pc.box.replies = [reply(-600, 30, "suspend"), reply(9000, 9900, "suspend", now=60), later]
        told(pc)
        pc.waits_for(lambda: mode("never", 3600) in pc.condition.changes, "paused")
        pc.waits_for(lambda: pc.condition.changes[-1] == mode("auto", 0), "it goes on")
        pc.stop()
        pc.condition.changes.clear()
        for name in ("ended", "window"):
            (pc.root / "run/netboot-appliance" / name).unlink(missing_ok=True)


def test_a_pc_that_was_told_to_pause_does_not_compute_when_a_window_begins(pc: Pc) -> None:
    first = reply(-600, 40, "suspend", more="order=1 suspend\n")
    pc.box.replies = [first, KEPT, reply(200, 900, "suspend", now=120), KEPT]
    told(pc)
    pc.waits_for(lambda: "the time to compute has begun" in pc.journal, "the next window")
    pc.beats(2)
    assert set(pc.condition.changes) == {mode("never", 3600)}


def test_resume_lets_a_pc_go_on_that_finishes_its_work(pc: Pc) -> None:
    pc.box.replies = [reply(-600, 40, "off", grace=9000), KEPT, KEPT + b"order=1 resume\n"]
    told(pc)
    pc.waits_for(lambda: "1 done" in pc.box.orders(), "resumed")
    assert change("allowmorework") in pc.condition.changes
    pc.condition.tasks = []
    pc.beats(2)
    assert pc.told("systemctl") == []
    assert not (pc.root / "run/netboot-appliance/ending").exists()


def test_the_screen_says_until_when(pc: Pc) -> None:
    pc.box.replies = [reply(-600, 90000, "disk")]
    told(pc)
    pc.beats(2)
    until = time.strftime("%a %H:%M", time.localtime(NOW + 90000))
    screen = (pc.root / "run/netboot-appliance/screen").read_text()
    assert f"\n  Until      {until}, then this PC starts from its disk\n" in screen


def test_an_end_that_is_near_is_not_lost_to_a_reply_with_the_next_window(pc: Pc) -> None:
    """And one that has ended does not come back with a reply that was on its way."""
    run = pc.root / "run/netboot-appliance"
    script = "\n".join(
        [
            f". {pc.root}/scripts/boot.sh; RUN={run}",
            *(f". {pc.root}/scripts/{name}.sh" for name in ("boinc", "facts", "orders", "window")),
            f'keep_window {NOW} "{NOW - 9} {NOW + 2} 600 off" > /dev/null',
            f'keep_window {NOW} "{NOW + 5000} {NOW + 9000} 600 disk" > /dev/null',
            'cat "$RUN/ending" "$RUN/ended" "$RUN/window"; rm "$RUN/window"',
            f'keep_window {NOW} "{NOW - 9} {NOW + 2} 600 off"; [ -e "$RUN/window" ] || echo none',
            'for wrong in "1 2 3" "1 2 3 4" "a 2 3 off" "1 2 03 off" "1 2 3 off x" "1 2 3 dance"; do',
            f'keep_window {NOW} "$wrong"; [ -e "$RUN/window" ] || echo none; done',
        ]
    )
    done = subprocess.run(["bash", "-c", script], env=pc.environment, capture_output=True, text=True, check=True)
    words = done.stdout.splitlines()
    until, action = words[0].split()
    assert (571 <= float(until) - pc.uptime <= 602, action) == (True, "off")
    assert words[1:] == [str(NOW + 2), f"5012 9012 600 disk {NOW + 9000}", *["none"] * 7]
    assert done.stderr == ""
