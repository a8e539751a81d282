"""What is checked before a build starts."""

import os
from pathlib import Path

import pytest

from image import build_prerequisites


@pytest.fixture
def tools(tmp_path: Path) -> str:
    directory = tmp_path / "bin"
    directory.mkdir()
    for tool in build_prerequisites.TOOLS:
        (directory / tool).write_text("#!/bin/sh\n")
        (directory / tool).chmod(0o755)
    return str(directory)


def test_a_ready_machine_has_no_problems(tmp_path: Path, tools: str) -> None:
    assert build_prerequisites.problems(tmp_path / "new" / "work", tmp_path / "images", user=0, path=tools) == ()


def test_all_problems_are_reported_at_once(tmp_path: Path, tools: str) -> None:
    (Path(tools) / "lb").unlink()
    (Path(tools) / "debootstrap").unlink()
    found = build_prerequisites.problems(tmp_path / "my work", tmp_path, user=1000, path=tools)
    assert [what for what, _ in found] == [
        "only root can build an image",
        "not installed: debootstrap live-build",
        f"live-build cannot work in '{tmp_path}/my work'",
    ]
    assert found[1][1] == "apt-get install --no-install-recommends debootstrap live-build"


def test_a_read_only_file_system_is_named_with_what_the_sandbox_needs(
    tmp_path: Path, tools: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.statvfs(tmp_path)
    fields = (*tuple(real)[:8], os.ST_RDONLY, real.f_namemax)
    monkeypatch.setattr(os, "statvfs", lambda path: os.statvfs_result(fields))
    (what, do), _ = build_prerequisites.problems(tmp_path / "work", tmp_path / "images", user=0, path=tools)
    assert what == f"{tmp_path}/work is on a read-only file system"
    assert f"ReadWritePaths={tmp_path}/work" in do


@pytest.mark.parametrize("flag", [os.ST_NODEV, os.ST_NOEXEC])
def test_a_file_system_without_devices_or_programs(
    tmp_path: Path, tools: str, monkeypatch: pytest.MonkeyPatch, flag: int
) -> None:
    real = os.statvfs(tmp_path)
    fields = (*tuple(real)[:8], flag, real.f_namemax)
    monkeypatch.setattr(os, "statvfs", lambda path: os.statvfs_result(fields))
    ((what, _),) = build_prerequisites.problems(tmp_path, tmp_path, user=0, path=tools)
    assert "mounted nodev or noexec" in what


def test_the_versions_of_what_makes_a_step() -> None:
    found = build_prerequisites.versions({"system": ("dpkg", "no-such-package"), "files": ("no-such-package",)})
    assert found["system"].startswith("dpkg 1.")
    assert found["system"].endswith(" no-such-package unknown")
    assert found["files"] == "no-such-package unknown"
