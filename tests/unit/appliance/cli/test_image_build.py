"""`image build --json`: one object a line, for scripts."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from appliance.cli import image_build
from appliance.images.build_unit import Report
from appliance.images.requested_build import Builder, BuildResult
from image.progress import BuildError, Progress
from tests.unit.appliance.cli.program import netboot_appliance
from tests.unit.image.test_release import NEW, publish

AT_WORK = Progress("packages", 4, "P: installing", 12.5, 80.0, 5_000_000, 158_000_000)


@dataclass
class AskedBuild:
    """Stands in for a build: it reports, and ends as it is told to."""

    result: BuildResult | BuildError
    joins: bool = False
    existing: None = None
    builder: Builder = Builder.PROCESS

    def run(self, report: Report) -> BuildResult:
        report(AT_WORK)
        if isinstance(self.result, BuildError):
            raise self.result
        return self.result


def lines(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, result: BuildResult | BuildError
) -> tuple[int, list[object]]:
    (tmp_path / "config.toml").write_text(f'[server]\ndata = "{tmp_path}"\ninterfaces = ["eth1"]\n')
    monkeypatch.setattr(image_build, "request", lambda *_, **__: AskedBuild(result))
    monkeypatch.setattr(image_build, "mount_images", lambda config: None)
    done = netboot_appliance("--config", str(tmp_path / "config.toml"), "image", "build", "--json")
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


PROGRESS = {
    "progress": {
        "stage": "packages",
        "number": 4,
        "step": "P: installing",
        "elapsed": 12.5,
        "left": 80.0,
        "done": 5_000_000,
        "total": 158_000_000,
    }
}


def test_the_progress_and_the_release(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made = publish(tmp_path / "images", NEW)
    found = lines(monkeypatch, tmp_path, BuildResult(made, False))
    assert found == (0, [PROGRESS, {"release": NEW, "unchanged": False, "size": made.size}])


def test_the_progress_and_the_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = lines(monkeypatch, tmp_path, BuildError("packages", "the disk is full", "make room"))
    error = {"stage": "packages", "message": "the disk is full", "hint": "make room"}
    assert found == (1, [PROGRESS, {"error": error}])
