"""The control process beside a `serve` that was started by hand: a stand-in for it, really started."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.config.control import ControlSettings
from appliance.config.file import Config, ServerSettings
from appliance.registry.server_lock import only_server
from appliance.server import control_process
from appliance.server.control_process import ControlProcess

# Says that it runs, then does what a control process does: ends when its standard input does.
STANDS_IN = "import os, sys; open(sys.argv[1], 'a').write(f'{os.getpid()}\\n'); sys.stdin.read(); sys.exit(0)"
HANGS = "import os, sys, time; open(sys.argv[1], 'a').write(f'{os.getpid()}\\n'); time.sleep(600)"
FAILS = "import os, sys; open(sys.argv[1], 'a').write(f'{os.getpid()}\\n'); sys.exit(1)"


class Supervised:
    """`config` is what the server has in force."""

    def __init__(self, directory: Path, program: str) -> None:
        self.log = directory / "started"
        self.config = Config(directory / "c.toml", server=ServerSettings(data=directory))
        self.process = ControlProcess(lambda: self.config, [sys.executable, "-c", program, str(self.log)])

    @property
    def started(self) -> list[int]:
        return list(map(int, self.log.read_text().split())) if self.log.exists() else []


@pytest.fixture
def supervise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Supervised]]:
    for name, seconds in (("FIRST_WAIT", 0.05), ("_LOOK", 0.02), ("_GOODBYE", 0.5)):
        monkeypatch.setattr(control_process, name, seconds)
    made: list[Supervised] = []

    def begin(program: str) -> Supervised:
        made.append(Supervised(tmp_path, program))
        return made[-1]

    yield begin
    for each in made:
        each.process.close()


def await_that(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def lives(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").exists()


def test_it_is_started_and_ends_with_the_server(supervise: Callable[[str], Supervised]) -> None:
    found = supervise(STANDS_IN)
    found.process.start()
    await_that(lambda: found.started)
    found.process.close()
    assert not lives(found.started[0])
    assert len(found.started) == 1


def test_after_a_kill_it_is_started_again(supervise: Callable[[str], Supervised]) -> None:
    found = supervise(STANDS_IN)
    found.process.start()
    for count in (1, 2, 3):
        await_that(lambda: len(found.started) == count)  # noqa: B023
        os.kill(found.started[-1], 9)
    await_that(lambda: len(found.started) == 4)


def test_one_that_cannot_start_is_tried_more_and_more_seldom(
    supervise: Callable[[str], Supervised], monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    found = supervise(FAILS)
    wait = found.process._stop.wait

    def noted(seconds: float | None = None) -> bool:
        if seconds is not None and seconds >= control_process.FIRST_WAIT:
            waits.append(seconds)
            return wait(0)
        return wait(seconds)

    monkeypatch.setattr(found.process._stop, "wait", noted)
    # None of them is waited for. They are long, because one that has run for the longest wait begins anew.
    monkeypatch.setattr(control_process, "FIRST_WAIT", 50.0)
    monkeypatch.setattr(control_process, "LONGEST_WAIT", 400.0)
    found.process.start()
    await_that(lambda: len(waits) >= 6)
    assert waits[:6] == [50, 100, 200, 400, 400, 400]


def test_one_that_hangs_does_not_hold_up_the_server(supervise: Callable[[str], Supervised]) -> None:
    found = supervise(HANGS)
    found.process.start()
    await_that(lambda: found.started)
    found.process.close()
    assert not lives(found.started[0])


def test_it_is_not_started_where_it_is_switched_off_or_runs_already(supervise: Callable[[str], Supervised]) -> None:
    found = supervise(STANDS_IN)
    on = found.config
    found.config = replace(on, control=ControlSettings(enabled=False))
    holder = (
        "import sys; from pathlib import Path; from appliance.registry.server_lock import only_server\n"
        "with only_server(Path(sys.argv[1]), 'control'): print('held', flush=True); sys.stdin.read()"
    )
    found.process.start()
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(on.registry)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        found.config = on
        time.sleep(0.3)
        assert found.started == []
        other.communicate()
    await_that(lambda: found.started)


def test_one_that_was_switched_off_waits_for_another_configuration(supervise: Callable[[str], Supervised]) -> None:
    found = supervise(STANDS_IN.replace("sys.stdin.read()", "0"))
    found.process.start()
    await_that(lambda: found.started)
    time.sleep(0.3)
    assert len(found.started) == 1
    found.config = replace(found.config)
    await_that(lambda: len(found.started) == 2)


def test_it_ends_when_the_server_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "started"
    server = (
        "import sys, time; from services.linux import programs\n"
        f"programs.attach([sys.executable, '-c', {STANDS_IN!r}, sys.argv[1]]); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", server, str(log)]) as process:
        await_that(lambda: log.exists() and log.read_text().endswith("\n"))
        process.kill()
    await_that(lambda: not lives(int(log.read_text())))


def test_its_command_is_the_control_process_of_this_configuration(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("[control]\nenabled = false\n")
    done = subprocess.run(
        control_process.command(tmp_path / "c.toml"),
        input="",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done
    assert "switched off" in done.stderr


def test_only_one_control_process_has_a_registry(tmp_path: Path) -> None:
    path = tmp_path / "registry" / "registry.sqlite3"
    with only_server(path), only_server(path, "control"):
        assert {each.name for each in path.parent.iterdir()} == {"serve.lock", "control.lock"}
