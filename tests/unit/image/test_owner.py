"""A key on the keyboard gives a PC back to its owner: what counts as one, what the server is told, and the last resort.

Keyboards are FIFOs into which the tests write what Linux' evdev would.
"""

import os
import re
import signal
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.ethernet import MacAddress
from services.http.heartbeats import LEAVING_FOR_OWNER, Heartbeat, HeartbeatReply, decode, encode
from tests.unit.debian import need
from tests.unit.image.agent_room import Pc, head

A, ENTER, LEFT_CTRL, LEFT_ALT, F2, SCROLL_LOCK, VOLUME, POWER, MENU = 30, 28, 29, 56, 60, 70, 114, 116, 127
NEXT_SONG, LEFT_BUTTON = 163, 0x110
SYN, KEY, MISC, RELEASED, PRESSED, HELD = 0, 1, 4, 0, 1, 2
KEYBOARD = "402000000 3803078f800d001 feffffdfffefffff fffffffffffffffe"
MOUSE, POWER_BUTTON = "1f0000 0 0 0 0", "10000000000000 0"


class OwnedPc(Pc):
    """A PC that computes and has an owner; `watch` starts the program that waits for a key."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.owner: subprocess.Popen[bytes] | None = None
        self._ends: dict[str, int] = {}
        self.run_directory = root / "run/netboot-appliance"
        (root / "dev/input").mkdir()
        (root / "class/tty/tty0").mkdir(parents=True)
        (root / "class/tty/tty0/active").write_text("tty1\n")
        (root / "jobs").write_text("")
        (self.run_directory / "owned").write_text("")
        (self.run_directory / "heartbeat").write_bytes(
            b"uptime=9\nboinc=running\nleaving=off\n\n<results>\n</results>\n"
        )
        os.mkfifo(root / "udev")
        self.program("udevadm", 'echo "monitor will print"; exec cat ROOT/udev\n')
        self._udev = os.open(root / "udev", os.O_RDWR)

    def plug(self, event: str, keys: str) -> None:
        os.mkfifo(self.root / "dev/input" / event)
        self._ends[event] = os.open(self.root / "dev/input" / event, os.O_RDWR)
        capabilities = self.root / "class/input" / event / "device/capabilities"
        capabilities.mkdir(parents=True)
        (capabilities / "key").write_text(f"{keys}\n")

    def tell_udev(self, event: str) -> None:
        os.write(self._udev, f"UDEV  [17.3] add      /devices/usb1/{event} (input)\n".encode())

    def watch(self) -> None:
        with (self.root / "journal").open("ab") as journal:
            self.owner = subprocess.Popen(
                # Its trace shows which events it has looked at.
                ["bash", "-x", str(self.root / "scripts/owner")],
                env=self.environment,
                stdout=journal,
                stderr=journal,
                start_new_session=True,
            )

    def event(self, event: str, kind: int, code: int, value: int) -> None:
        # As a keyboard sends them: what it is by the keyboard itself, the key, and that this is all.
        for each in ((MISC, 4, 458756), (kind, code, value), (SYN, 0, 0)):
            os.write(self._ends[event], struct.pack("=qqHHi", 1790000000, 5, *each))

    def press(self, code: int, event: str = "event0") -> None:
        self.event(event, KEY, code, PRESSED)
        self.event(event, KEY, code, RELEASED)

    def ignores(self, code: int) -> None:
        """Press a key, and wait until the program has looked at it and waits for another."""
        seen = self.looked_at(code)
        self.press(code)
        self.waits_for(lambda: self.looked_at(code) > seen, "both events of the key")
        assert not self.gone()

    def looked_at(self, code: int) -> int:
        """How often it has seen this key let go."""
        return self.journal.count(f"+ counts 1 {code} 0\n")

    def gone(self) -> bool:
        return "reboot" in self.told("systemctl")

    def close(self) -> None:
        if self.owner is not None:
            os.killpg(self.owner.pid, signal.SIGKILL)
            self.owner.wait()
        for end in (*self._ends.values(), self._udev):
            os.close(end)
        super().close()


@pytest.fixture
def pc(tmp_path: Path) -> Iterator[OwnedPc]:
    need("curl")
    made = OwnedPc(tmp_path)
    made.plug("event0", KEYBOARD)
    yield made
    made.close()


def heard(pc: OwnedPc) -> Heartbeat:
    """The heartbeat that the PC sent, as the server reads it."""
    (body,) = pc.box.heartbeats
    found = decode(MacAddress.parse("52:54:00:aa:bb:cc"), body)
    assert isinstance(found, Heartbeat)
    return found


@pytest.mark.parametrize("key", [A, ENTER, LEFT_CTRL, MENU])
def test_a_key_tells_the_server_and_restarts_the_pc(pc: OwnedPc, key: int) -> None:
    pc.watch()
    pc.press(key)
    pc.waits_for(pc.gone, "it restarts")
    assert (pc.run_directory / "leaving").read_text() == "owner\n"
    assert heard(pc).facts == {"leaving": LEAVING_FOR_OWNER, "uptime": "9", "boinc": "running"}
    assert heard(pc).boinc == b"<results>\n</results>\n"
    words = "a key was pressed: this PC saves its work, and then starts from its own disk"
    assert words in (pc.root / "dev/tty0").read_text()
    assert not (pc.root / "proc/sysrq-trigger").exists()


def test_one_press_is_enough_and_the_others_change_nothing(pc: OwnedPc) -> None:
    pc.plug("event1", KEYBOARD)
    pc.watch()
    for _ in range(50):
        pc.press(A)
        pc.press(ENTER, "event1")
    pc.waits_for(pc.gone, "it restarts")
    assert len(pc.box.heartbeats) == 1
    assert pc.told("systemctl") == ["reboot"]


def test_what_does_not_count(pc: OwnedPc) -> None:
    """The key that is pressed last does, and shows that the others were seen."""
    pc.plug("event1", MOUSE)
    pc.plug("event2", POWER_BUTTON)
    pc.watch()
    for key in (SCROLL_LOCK, VOLUME, POWER, NEXT_SONG, LEFT_BUTTON, LEFT_ALT):
        pc.press(key)
    pc.event("event0", KEY, A, HELD)
    pc.event("event0", KEY, A, RELEASED)
    pc.event("event0", MISC, A, PRESSED)
    pc.event("event0", KEY, LEFT_ALT, PRESSED)
    pc.press(F2)
    pc.event("event0", KEY, LEFT_ALT, RELEASED)
    pc.press(LEFT_BUTTON, "event1")
    pc.press(POWER, "event2")
    pc.press(ENTER)
    pc.waits_for(pc.gone, "it restarts")
    assert [pc.looked_at(key) for key in (F2, LEFT_BUTTON, POWER)] == [1, 1, 1], "those of the keyboard alone"
    assert pc.looked_at(ENTER) == 0, "its press was the first that counted"


@pytest.mark.parametrize("why", ["without a schedule", "another console", "switched off"])
def test_keys_that_are_for_something_else(pc: OwnedPc, why: str) -> None:
    active, jobs = pc.root / "class/tty/tty0/active", pc.root / "jobs"
    if why == "without a schedule":
        (pc.run_directory / "owned").unlink()
    elif why == "another console":
        active.write_text("tty2\n")
    else:
        jobs.write_text("132 poweroff.target start waiting\n")
    pc.watch()
    pc.ignores(A)
    active.write_text("tty1\n")
    jobs.write_text("")
    (pc.run_directory / "owned").write_text("")
    pc.press(A)
    pc.waits_for(pc.gone, "it restarts")


def test_a_keyboard_that_is_plugged_in_later_counts(pc: OwnedPc) -> None:
    pc.watch()
    pc.plug("event7", KEYBOARD)
    pc.tell_udev("event7")
    pc.press(A, "event7")
    pc.waits_for(pc.gone, "it restarts")


def test_a_server_that_is_away_delays_nobody_for_long(pc: OwnedPc) -> None:
    pc.box.shutdown()
    pc.box.server_close()
    pc.watch()
    pc.press(A)
    pc.waits_for(pc.gone, "it restarts")
    assert "the server does not answer" in pc.journal


def test_whatever_hangs_the_pc_restarts(pc: OwnedPc) -> None:
    """Also a systemctl that never returns, as with a root on a server that is away."""
    script = pc.root / "scripts/owner"
    script.write_text(re.sub(r"^LONGEST=15\b", "LONGEST=1", script.read_text(), flags=re.M))
    pc.program("systemctl", "[ $1 = list-jobs ] || exec /bin/sleep 600\n")
    pc.watch()
    pc.press(A)
    trigger = pc.root / "proc/sysrq-trigger"
    pc.waits_for(lambda: trigger.exists() and trigger.read_text() == "b\n", "the reset")


def test_one_that_was_killed_in_the_middle_goes_on(pc: OwnedPc) -> None:
    pc.box.replies = [503]
    pc.watch()
    pc.press(A)
    leaving = pc.run_directory / "leaving"
    pc.waits_for(lambda: leaving.exists() and leaving.read_text() == "owner\n", "the beginning")
    assert pc.owner
    os.killpg(pc.owner.pid, signal.SIGKILL)
    pc.owner.wait()
    before = len(pc.told("systemctl"))
    pc.watch()  # as systemd does
    pc.waits_for(lambda: len(pc.told("systemctl")) > before, "it restarts")


def test_the_end_of_a_shutdown_is_the_reset(pc: OwnedPc) -> None:
    """systemd's last step ends all that still runs."""
    pc.watch()
    pc.press(A)
    pc.waits_for(pc.gone, "it restarts")
    assert pc.owner
    os.killpg(pc.owner.pid, signal.SIGTERM)
    trigger = pc.root / "proc/sysrq-trigger"
    pc.waits_for(lambda: trigger.exists() and trigger.read_text() == "b\n", "the reset")


def test_the_agent_has_the_keyboard_watched_once_the_pc_computes(pc: OwnedPc) -> None:
    (pc.run_directory / "owned").unlink()
    pc.haste(10)
    pc.condition.tasks = []
    pc.box.replies = [encode(HeartbeatReply(1790000000, 60, "", owned=True))]
    pc.start()
    pc.beats(2)
    assert pc.told("systemctl") == []
    assert not (pc.run_directory / "owned").exists()
    pc.waits_for((pc.run_directory / "owned").exists, "it would compute, if there were work")
    assert pc.uptime >= 300
    assert pc.told("systemctl") == ["start --no-block netboot-owner.service"]
    pc.waits_for(lambda: "Press any key" in (pc.run_directory / "screen").read_text(), "the screen")
    pc.box.replies = [encode(HeartbeatReply(1790000000, 60, ""))]
    pc.waits_for(lambda: not (pc.run_directory / "owned").exists(), "its schedule is gone")


def test_the_agent_leaves_the_going_to_the_owners_program(pc: OwnedPc) -> None:
    (pc.run_directory / "leaving").write_text("owner\n")
    pc.start()
    assert head(pc.beats(3))["leaving"] == "owner"
    assert pc.told("systemctl") == []
    assert "A key was pressed: this PC saves its work" in (pc.run_directory / "screen").read_text()
