"""Ctrl-C in the demo, at its two long steps: nothing is left behind."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.room.interruption import UNIGNORED
from tests.room.live_image import give_image
from tests.room.namespaces import PREFIX, leftovers
from tests.room.processes import RoomError, rooms_of_processes, wait_until
from tests.room.room import CHECKOUT

TIMEOUT = 600


def interrupt(directory: Path, when: Callable[[str, int], bool], number: signal.Signals) -> str:
    """Run the demo in `directory` and send it the signal once `when(its output, its process id)` holds; returns its
    output."""
    log = directory.with_suffix(".log")
    with log.open("wb") as output:
        demo = subprocess.Popen(
            [*UNIGNORED, sys.executable, "-m", "tests.room.demo", "--directory", str(directory)],
            cwd=CHECKOUT,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def ready() -> bool:
        if demo.poll() is not None:
            raise RoomError(f"the demo ended too early:\n{log.read_text()}")
        return when(log.read_text(), demo.pid)

    try:
        wait_until(ready, TIMEOUT, "the moment to interrupt")
        demo.send_signal(number)
        assert demo.wait(TIMEOUT) == 128 + number
    finally:
        if demo.poll() is None:
            demo.terminate()
            demo.wait(TIMEOUT)
    return log.read_text()


def using(directory: Path) -> list[str]:
    """Processes that run in `directory` or below it, and mounts there."""
    found = [
        line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(directory) in line
    ]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            places = [os.readlink(process / "cwd"), os.readlink(process / "root")]
        except OSError:  # it ended meanwhile, or is a kernel thread
            continue
        if any(place.startswith(str(directory)) for place in places):
            found.append(f"process {process.name} in {places}")
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_with_the_pc_on(tmp_path: Path, number: signal.Signals) -> None:
    own = tmp_path / "room"
    give_image(own / "data")
    rooms: set[str] = set()

    def pc_is_on(said: str, demo: int) -> bool:
        rooms.update(room for room in rooms_of_processes() if room.startswith(f"{PREFIX}-{demo}-"))
        return "discovered" in said

    said = interrupt(own, pc_is_on, number)
    assert "Interrupted" in said
    assert rooms
    assert [thing for room in rooms for thing in leftovers(room)] == []
    assert using(own) == []


def test_interrupted_while_the_image_is_built(tmp_path: Path) -> None:
    own = tmp_path / "room"
    # The bootstrap runs processes with the new system as their root, and has mounts in it.
    said = interrupt(own, lambda *_: len(using(own)) >= 2, signal.SIGINT)
    assert "Interrupted" in said
    assert using(own) == []
    assert not (own / "data" / "images" / "current").exists()
