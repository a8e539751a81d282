"""Both ends of the unit that builds, with a stand-in for systemctl that runs the unit's end directly."""

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from appliance.config.file import DEFAULT_PATH
from appliance.images import build_unit
from appliance.images.build_order import BuildOrder
from appliance.images.build_record import BuildRecord
from image import release
from image.build import Rebuild
from image.progress import BuildError, Progress
from image.release import Release, ReleaseError
from tests.unit.image.test_release import NEW, OLD, publish

STEPS = [Progress("checks", 1, "checking what a build needs", 0.1), Progress("chroot", 4, "Unpacking “boinc” […]", 9.5)]

Builder = Callable[[Path, Rebuild, build_unit.Report], Release]

SYSTEMCTL = """\
#!/bin/sh
echo "$*" >> {room}/calls
case $1 in
show) cat {room}/state ;;
start) . {room}/start ;;
esac
"""

UNIT = """\
import sys
from pathlib import Path
from appliance.images.build_unit import record
from tests.unit.appliance.images import test_build_unit
room = Path(sys.argv[1])
build = getattr(test_build_unit, sys.argv[2])
record(lambda order, report, hear: [build(room, order.rebuild, report)], lambda progress: None)
"""


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "systemctl").write_text(SYSTEMCTL.format(room=tmp_path))
    (tmp_path / "bin" / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setattr(build_unit, "DIRECTORY", tmp_path / "run")
    monkeypatch.setattr(build_unit, "SYSTEMD", tmp_path)
    publish(tmp_path / "images", NEW)
    state(tmp_path, "inactive", "")
    return tmp_path


def state(room: Path, active: str, invocation: str) -> None:
    (room / "state").write_text(f"LoadState=loaded\nActiveState={active}\nInvocationID={invocation}\n")


def unit(room: Path, builder: str, invocation: str = "i1") -> str:
    """The command that runs the unit's end of a build, as systemd would."""
    words = [sys.executable, "-c", UNIT, str(room), builder]
    return f"RUNTIME_DIRECTORY={room}/run INVOCATION_ID={invocation} exec {shlex.join(words)}\n"


def recorded(room: Path, builder: Builder, invocation: str = "i1") -> str:
    """The command that puts the output of the unit's end in place; fast, because it is recorded here and now."""
    directory = room / f"recorded-{invocation}"
    directory.mkdir()
    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(BuildError, ReleaseError, SystemExit):
        patch.setenv("RUNTIME_DIRECTORY", str(directory))
        patch.setenv("INVOCATION_ID", invocation)
        build_unit.record(lambda order, report, hear: [builder(room, order.rebuild, report)], lambda progress: None)
    return f"mv {directory}/progress {room}/run/progress\n"


def follow(room: Path, rebuild: Rebuild = Rebuild.NEVER) -> tuple[Release, list[Progress]]:
    told: list[Progress] = []
    (made,) = build_unit.follow(room / "images", BuildOrder(rebuild), told.append)
    return made, told


# What the unit can do; run in its process.


def succeed(room: Path, rebuild: Rebuild, report: build_unit.Report) -> Release:
    (room / "rebuild").write_text(rebuild.value)
    for each in STEPS:
        report(each)
    return release.read(room / "images", NEW)


def fail(room: Path, rebuild: Rebuild, report: build_unit.Report) -> Release:
    report(STEPS[0])
    raise BuildError("chroot", "it failed", "do this", log=Path("/log"), tail=("E: “one”", "two"), paste="sudo lb")


def find_it_broken(room: Path, rebuild: Rebuild, report: build_unit.Report) -> Release:
    raise ReleaseError("the release is broken", "delete it")


def be_stopped(room: Path, rebuild: Rebuild, report: build_unit.Report) -> Release:
    raise SystemExit(143)


def be_killed(room: Path, rebuild: Rebuild, report: build_unit.Report) -> Release:
    report(STEPS[0])
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def go_on(room: Path, rebuild: Rebuild, report: build_unit.Report) -> Release:
    report(STEPS[0])
    while not (room / "go").exists():
        threading.Event().wait(0.02)
    report(STEPS[1])
    return release.read(room / "images", NEW)


def test_a_build_is_asked_for_and_followed_to_its_release_and_asked_for_once(room: Path) -> None:
    (room / "start").write_text(unit(room, "succeed"))
    made, told = follow(room, Rebuild.UPDATED)
    assert made == release.read(room / "images", NEW)
    assert told == STEPS
    assert (room / "rebuild").read_text() == "updated"
    assert not (room / "run" / "request").exists()
    # As by `systemctl start`, without a request.
    subprocess.run(["sh", room / "start"], check=True)
    assert (room / "rebuild").read_text() == "never"


def test_the_unit_is_told_which_images_to_build(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[BuildOrder] = []

    def build(order: BuildOrder, report: build_unit.Report, hear: build_unit.Hear) -> list[Release]:
        told.append(order)
        return [release.read(room / "images", NEW)]

    monkeypatch.setenv("RUNTIME_DIRECTORY", str(room / "run"))
    monkeypatch.setenv("INVOCATION_ID", "i1")
    (room / "start").touch()
    wanted = BuildOrder(Rebuild.UPDATED, ("boinc", "lab"), 1796083200.5)
    build_unit.begin(wanted)
    build_unit.record(build, lambda progress: None)
    for damaged in (
        '{"rebuild": "always", "names": ["../etc"], "since": 0}',
        '{"rebuild": "sometimes", "names": [], "since": 0}',
        '{"rebuild": "always", "names": [], "since": []}',
        '{"rebuild": "always", "names": 7, "since": 0}',
        '{"rebuild": "always"}',
        "[" * 100_000,
        "always lab",
        "",
    ):
        (room / "run" / "request").write_text(damaged)
        build_unit.record(build, lambda progress: None)
        assert not (room / "run" / "request").exists()
    assert told == [wanted, *[BuildOrder()] * 8]


def test_a_failure_arrives_as_the_build_raised_it(room: Path) -> None:
    (room / "start").write_text(recorded(room, fail))
    with pytest.raises(BuildError, match="it failed") as caught:
        follow(room)
    error = caught.value
    assert (error.stage, error.hint, error.log) == ("chroot", "do this", Path("/log"))
    assert (error.tail, error.paste) == (("E: “one”", "two"), "sudo lb")


@pytest.mark.parametrize(
    ("builder", "said"),
    [
        (find_it_broken, "the release is broken"),
        (be_stopped, "the build was stopped"),
    ],
)
def test_every_other_outcome_is_reported_too(room: Path, builder: Builder, said: str) -> None:
    (room / "start").write_text(recorded(room, builder))
    with pytest.raises(BuildError, match=said):
        follow(room)


def test_a_build_that_was_killed_has_no_result(room: Path) -> None:
    (room / "start").write_text(unit(room, "be_killed"))
    with pytest.raises(BuildError, match="ended without a result: no reason given"):
        follow(room)


def test_a_unit_that_cannot_start_is_reported_in_systemds_words(room: Path) -> None:
    (room / "start").write_text("echo 'Job failed because of X.' >&2; exit 1\n")
    with pytest.raises(BuildError, match="ended without a result: Job failed because of X") as caught:
        follow(room)
    assert "journalctl -u netboot-appliance-image.service" in caught.value.hint


def test_the_result_of_an_earlier_build_is_not_mistaken_for_this_one(room: Path) -> None:
    (room / "start").write_text(recorded(room, fail, "i1"))
    with pytest.raises(BuildError, match="it failed"):
        follow(room)
    (room / "start").write_text("sleep 0.5\n" + recorded(room, succeed, "i2"))
    assert follow(room)[1] == STEPS
    (room / "start").write_text("exit 1\n")
    with pytest.raises(BuildError, match="ended without a result"):
        follow(room)


def test_a_running_build_is_joined_from_its_beginning(room: Path) -> None:
    (room / "run").mkdir()
    first = subprocess.Popen(["sh", "-c", unit(room, "go_on", "i3")])
    state(room, "activating", "i3")
    # If the unit is already building, systemctl waits for it.
    done = (room / "state").read_text().replace("activating", "inactive")
    (room / "done").write_text(done)
    waits = f"touch {room}/go; while kill -0 {first.pid} 2>/dev/null; do sleep 0.1; done; mv {room}/done {room}/state\n"
    (room / "start").write_text(waits)
    waiter = threading.Thread(target=first.wait)
    waiter.start()
    made, told = follow(room, Rebuild.ALWAYS)
    waiter.join(10)
    assert first.returncode == 0
    assert (made.id, told) == (NEW, STEPS)
    assert not (room / "run" / "request").exists()


def test_a_stop_that_cancels_the_start_is_followed_to_its_end(room: Path) -> None:
    state(room, "inactive", "")
    stopping = (room / "state").read_text().replace("inactive", "deactivating")
    (room / "stopping").write_text(stopping)
    ends = f"({recorded(room, be_stopped).strip()}; mv {room}/done {room}/state) </dev/null >/dev/null 2>&1 &"
    (room / "done").write_text((room / "state").read_text())
    (room / "start").write_text(f"mv {room}/stopping {room}/state; {ends}\necho 'Job canceled.' >&2; exit 1\n")
    with pytest.raises(BuildError, match="the build was stopped"):
        follow(room)


def test_leaving_stops_reading_and_not_the_build(room: Path) -> None:
    (room / "start").write_text(f"({unit(room, 'go_on')}) </dev/null >/dev/null 2>&1 & echo $! > {room}/pid; wait\n")

    def leave(progress: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_unit.follow(room / "images", BuildOrder(), leave)
    (room / "go").touch()
    lines = room / "run" / "progress"
    for _ in range(500):
        if json.loads(lines.read_text().splitlines()[-1]).get("releases") == [NEW]:
            return
        threading.Event().wait(0.02)
    raise AssertionError(lines.read_text())


def test_outside_of_the_unit_nothing_is_recorded(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    told: list[Progress] = []
    (made,) = build_unit.record(lambda order, report, hear: [succeed(room, order.rebuild, report)], told.append)
    assert (made.id, told) == (NEW, STEPS)
    assert not (room / "run").exists()


def test_the_unit_builds_only_the_default_configuration_of_a_running_systemd(
    room: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert build_unit.available(DEFAULT_PATH)
    assert not build_unit.available(room / "other.toml")
    (room / "state").write_text("LoadState=not-found\n")
    assert not build_unit.available(DEFAULT_PATH)
    state(room, "inactive", "")
    with monkeypatch.context() as patch:
        patch.setattr(os, "geteuid", lambda: 1000)
        assert not build_unit.available(DEFAULT_PATH)
    monkeypatch.setattr(build_unit, "SYSTEMD", room / "none")
    assert not build_unit.available(DEFAULT_PATH)


def print_two_lines(room: Path, order: BuildOrder, report: build_unit.Report, hear: build_unit.Hear) -> list[Release]:
    report(STEPS[0])
    for line in ("P: lb config", "P: lb bootstrap"):
        hear(line)
    return [release.read(room / "images", NEW)]


def test_everybody_sees_the_latest_build_and_what_it_prints(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert build_unit.latest() == BuildRecord(progress=[], output=[])
    before = build_unit.marks()
    (room / "run").mkdir()
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(room / "run"))
    monkeypatch.setenv("INVOCATION_ID", "i1")
    build_unit.record(partial(print_two_lines, room), lambda progress: None)
    assert build_unit.marks() != before
    found = build_unit.latest()
    assert (found.run, found.busy) == ("i1", False)
    assert [line.text for line in found.output] == ["P: lb config", "P: lb bootstrap"]
    assert [next(iter(json.loads(line))) for line in found.progress] == ["invocation", "progress", "releases"]
    # Another run has begun, and has not written anything yet.
    state(room, "activating", "i2")
    assert build_unit.latest() == BuildRecord("i2", busy=True)
    assert build_unit.marks() == build_unit.marks()


def test_of_a_long_build_the_beginning_and_the_latest_are_seen(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def report_much(order: BuildOrder, report: build_unit.Report, hear: build_unit.Hear) -> list[Release]:
        for number in range(4000):
            report(Progress("chroot", 4, f"Unpacking package {number}", float(number)))
        raise BuildError("chroot", "it failed", "do this")

    (room / "run").mkdir()
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(room / "run"))
    monkeypatch.setenv("INVOCATION_ID", "i1")
    with pytest.raises(BuildError):
        build_unit.record(report_much, lambda progress: None)
    first, *steps, last = map(json.loads, build_unit.latest().progress)
    assert first["invocation"] == "i1"
    assert 1000 < len(steps) < 4000
    assert steps[-1]["progress"]["step"] == "Unpacking package 3999"
    assert last["error"]["message"] == "it failed"
    assert build_unit.last_failure() == ("i1", "it failed", "do this")


def test_a_release_that_is_gone_by_then_is_reported(room: Path) -> None:
    publish(room / "images", OLD)
    (room / "start").write_text(recorded(room, succeed) + f"rm {room}/images/{NEW}/vmlinuz\n")
    with pytest.raises(BuildError, match="vmlinuz is missing"):
        follow(room)
