"""What `image test` needs, and what becomes of its result. The test itself: tests/netns/test_image_boot.py."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from appliance.config.file import load
from appliance.errors import UserError
from appliance.images import emulated_boot, notes
from appliance.images.emulated_room import CONSOLE, EVENT, SERVER
from image import command, release
from image.command import CommandError
from tests.unit.appliance.cli.box_with_releases import NEW, BoxWithReleases

Lines = Callable[..., None]


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BoxWithReleases:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    (tmp_path / "qemu-system-x86_64").write_text("#!/bin/sh\n")
    (tmp_path / "qemu-system-x86_64").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    made = BoxWithReleases(tmp_path)
    made.configure('[image]\nkernel_arguments = ["quiet"]\n')
    return made


def room_says(monkeypatch: pytest.MonkeyPatch, *lines: str, ends: CommandError | None = None) -> list[list[str]]:
    asked: list[list[str]] = []

    def run(arguments: list[str], *, cwd: Path, log: Any, on_line: Callable[[str], None]) -> None:
        asked.append(list(arguments))
        for line in lines:
            log.write(f"{line}\n")
            on_line(line)
        if ends:
            raise ends

    monkeypatch.setattr(command, "run", run)
    return asked


def event(**values: object) -> str:
    return EVENT + json.dumps(values)


def boot(box: BoxWithReleases, heard: list[tuple[str, float]]) -> tuple[notes.BootTest, tuple[str, ...]]:
    config = load(box.data / "c.toml")
    found = release.read(config.images, NEW)
    return emulated_boot.boot(config, found, lambda *each: heard.append(each), "bios", kvm=False, seconds=60)


def test_a_live_system_that_comes_up_has_passed_and_that_is_kept(
    box: BoxWithReleases, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages = [event(stage="power on", seconds=0.0), event(stage="reported", seconds=42.5)]
    asked = room_says(monkeypatch, *stages, CONSOLE + "login:", SERVER + "served", event(why=""))
    heard: list[tuple[str, float]] = []
    done, console = boot(box, heard)
    assert (done.passed, done.firmware, done.accelerator) == (True, "bios", "tcg")
    assert heard == [("power on", 0.0), ("reported", 42.5)]
    assert console == ("login:",)
    assert "login:" in Path(done.log).read_text()
    assert notes.test_of(box.data / "images", NEW) == done
    assert asked[0][:5] == ["unshare", "--net", "--ipc", "--uts", "--"]
    assert asked[0][-4:] == ["bios", "", "60", "quiet"]
    assert "test          passed" in box.run("image", "show")
    assert box.run("image", "list").splitlines()[1].split()[-2] == "passed"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ((event(why="it did not come up"),), "it did not come up"),
        ((event(why="State directory refused: x"),), "an older version built it, whose live systems cannot be tested"),
    ],
)
def test_one_that_does_not_has_failed(
    box: BoxWithReleases, monkeypatch: pytest.MonkeyPatch, said: tuple[str, ...], why: str
) -> None:
    room_says(monkeypatch, *said)
    done, _ = boot(box, [])
    assert not done.passed
    assert done.why.startswith(why)
    assert notes.test_of(box.data / "images", NEW) == done
    assert "test          FAILED" in box.run("image", "show")


@pytest.mark.parametrize(
    ("said", "ends", "what"),
    [
        ((), CommandError(("unshare", "--net"), Path("/"), 1, ("unshare: not permitted",)), "unshare: not permitted"),
        ((event(error="QEMU ended with status 1: no KVM"),), None, "QEMU ended with status 1: no KVM"),
        ((), None, "it ended without a result"),
        ((CONSOLE + event(why=""),), None, "it ended without a result"),
    ],
)
def test_a_test_that_cannot_be_made_says_nothing_about_the_release(
    box: BoxWithReleases, monkeypatch: pytest.MonkeyPatch, said: tuple[str, ...], ends: CommandError | None, what: str
) -> None:
    room_says(monkeypatch, *said, ends=ends)
    with pytest.raises(UserError) as raised:
        boot(box, [])
    assert str(raised.value) == f"the test could not be made, so nothing is known of the release: {what}"
    assert notes.test_of(box.data / "images", NEW) is None


def test_without_qemu_or_root_nothing_is_tested_and_it_is_said_what_to_do(
    box: BoxWithReleases, monkeypatch: pytest.MonkeyPatch
) -> None:
    (box.data / "qemu-system-x86_64").unlink()
    with pytest.raises(UserError) as raised:
        box.run("image", "test")
    assert (raised.value.code, raised.value.hint) == (3, "sudo apt install qemu-system-x86 ovmf")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(UserError, match="only root"):
        box.run("image", "test")
    assert notes.test_of(box.data / "images", NEW) is None


def test_only_so_many_logs_are_kept(box: BoxWithReleases, monkeypatch: pytest.MonkeyPatch) -> None:
    logs = box.data / "build" / "tests"
    logs.mkdir(parents=True)
    for number in range(30):
        (logs / f"202611{number:02}-090000-aaaaaaaa.log").touch()
    room_says(monkeypatch, event(why=""))
    boot(box, [])
    assert len(list(logs.iterdir())) == 21
    assert (logs / f"{NEW}.log").exists()
