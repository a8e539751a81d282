"""Who builds when somebody asks for a build, and what the result says."""

from pathlib import Path

import pytest

from appliance.config.file import Config, ServerSettings
from appliance.images import build_unit, requested_build
from appliance.images.requested_build import Builder, RequestedBuild, request
from image import release
from image.build import Rebuild
from tests.unit.image.test_release import publish

OLD, NEW = "20261122-090000-aaaaaaaa", "20261123-150102-1a2b3c4d"


@pytest.fixture
def config(tmp_path: Path) -> Config:
    for each in (OLD, NEW):
        publish(tmp_path / "images", each)
    release.activate(tmp_path / "images", OLD)
    return Config(tmp_path / "c.toml", server=ServerSettings(data=tmp_path))


@pytest.mark.parametrize(
    ("available", "running", "rebuild", "built", "inside_unit", "builder", "joins", "existing"),
    [
        (False, False, Rebuild.NEVER, False, False, Builder.PROCESS, False, False),
        (True, False, Rebuild.NEVER, False, False, Builder.UNIT, False, False),
        (True, True, Rebuild.ALWAYS, False, False, Builder.UNIT, True, False),
        (True, True, Rebuild.NEVER, True, False, Builder.UNIT, True, False),  # somebody else's build is worth following
        (True, False, Rebuild.NEVER, True, False, Builder.PROCESS, False, True),
        (True, False, Rebuild.UPDATED, True, False, Builder.UNIT, False, False),
        (True, True, Rebuild.NEVER, True, True, Builder.INSIDE_UNIT, False, False),
    ],
)
def test_who_builds(
    config: Config,
    monkeypatch: pytest.MonkeyPatch,
    available: bool,
    running: bool,
    rebuild: Rebuild,
    built: bool,
    inside_unit: bool,
    builder: Builder,
    joins: bool,
    existing: bool,
) -> None:
    old = release.read(config.images, OLD)
    monkeypatch.setattr(build_unit, "available", lambda _: available)
    monkeypatch.setattr(build_unit, "running", lambda: running)
    monkeypatch.setattr(requested_build, "built", lambda *_: old if built else None)
    wanted = request(config, config.path, rebuild, inside_unit=inside_unit)
    assert (wanted.builder, wanted.joins, wanted.existing) == (builder, joins, old if existing else None)


@pytest.mark.parametrize(
    ("rebuild", "made", "unchanged"),
    [
        (Rebuild.NEVER, NEW, False),
        (Rebuild.NEVER, OLD, False),
        (Rebuild.UPDATED, NEW, False),
        (Rebuild.UPDATED, OLD, True),
    ],
)
def test_the_result(
    config: Config, monkeypatch: pytest.MonkeyPatch, rebuild: Rebuild, made: str, unchanged: bool
) -> None:
    monkeypatch.setattr(requested_build, "build", lambda *_, **__: release.activate(config.images, made))
    result = RequestedBuild(config, rebuild, Builder.PROCESS).run(lambda _: None)
    assert (result.release.id, result.unchanged) == (made, unchanged)
