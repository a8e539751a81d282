"""`image build --json`: one object a line, for scripts."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from appliance.cli import image_build
from appliance.cli.main import app
from appliance.images.build_unit import Report
from appliance.images.requested_build import Builder, BuildResult
from image import release
from image.progress import BuildError, Progress
from image.release import Release
from tests.unit.image.test_release import NEW, publish

AT_WORK = Progress("packages", 4, "P: installing", 12.5, 80.0, 5_000_000, 158_000_000)


@dataclass
class AskedBuild:
    """Stands in for a build: it reports, and ends as it is told to."""

    result: BuildResult | BuildError
    joins: bool = False
    existing: tuple[Release, ...] = ()
    builder: Builder = Builder.PROCESS

    def run(self, report: Report) -> list[BuildResult]:
        report(AT_WORK)
        if isinstance(self.result, BuildError):
            raise self.result
        return [self.result]


def build(monkeypatch: pytest.MonkeyPatch, room: Path, asked: AskedBuild, *arguments: str) -> Result:
    (room / "config.toml").write_text(f'[server]\ndata = "{room}"\ninterfaces = ["eth1"]\n')
    monkeypatch.setattr(image_build, "request", lambda *_, **__: asked)
    monkeypatch.setattr(image_build, "mount_images", lambda config: None)
    return CliRunner().invoke(app, ["--config", str(room / "config.toml"), "image", "build", *arguments])


def lines(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, result: BuildResult | BuildError
) -> tuple[int, list[object]]:
    done = build(monkeypatch, tmp_path, AskedBuild(result), "--json")
    return done.exit_code, [json.loads(line) for line in done.stdout.splitlines()]


PROGRESS = {
    "progress": {
        "stage": "packages",
        "number": 4,
        "step": "P: installing",
        "elapsed": 12.5,
        "left": 80.0,
        "done": 5_000_000,
        "total": 158_000_000,
        "image": "",
    }
}


def test_the_progress_and_the_release(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made = publish(tmp_path / "images", NEW)
    release.activate(tmp_path / "images", NEW)
    found = lines(monkeypatch, tmp_path, BuildResult(made, False))
    about = {"release": NEW, "image": "boinc", "unchanged": False, "active": True, "size": made.size}
    assert found == (0, [PROGRESS, about])


def test_the_progress_and_the_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = lines(monkeypatch, tmp_path, BuildError("packages", "the disk is full", "make room"))
    error = {"stage": "packages", "message": "the disk is full", "hint": "make room"}
    assert found == (1, [PROGRESS, {"error": error}])


def test_a_followed_build_of_an_update_says_that_its_release_is_not_active(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made = publish(tmp_path / "images", NEW)
    done = build(monkeypatch, tmp_path, AskedBuild(BuildResult(made, False), joins=True))
    assert (done.exit_code, done.stdout) == (0, f"made, and not active: {NEW}; image update tries it first\n")


def test_who_wanted_all_images_and_followed_the_build_of_one_is_told_what_is_left(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made = publish(tmp_path / "images", NEW, "lab")
    (tmp_path / "images" / "lab").mkdir()
    release.activate(tmp_path / "images", NEW)
    done = build(monkeypatch, tmp_path, AskedBuild(BuildResult(made, False), joins=True))
    assert done.stdout.startswith(f"image lab: active: {NEW} ")
    assert str(done.exception) == "the build that was followed did not make boinc"
