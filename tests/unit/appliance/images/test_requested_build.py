"""Who builds when somebody asks for a build, and what the result says."""

import time
from pathlib import Path

import pytest

from appliance.config.file import Config, ServerSettings
from appliance.errors import UserError
from appliance.images import build_unit, requested_build
from appliance.images.build_order import BuildOrder
from appliance.images.requested_build import Builder, RequestedBuild, request
from image import release
from image.build import Rebuild
from image.progress import BuildError, Progress
from tests.unit.image.test_release import publish

OLD, NEW, NEXT = "20261122-090000-aaaaaaaa", "20261123-150102-1a2b3c4d", "20261201-090000-cccccccc"


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
    assert (wanted.builder, wanted.joins, wanted.existing) == (builder, joins, (old,) if existing else ())


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
    (result,) = RequestedBuild(config, BuildOrder(rebuild), Builder.PROCESS).run(lambda _: None)
    assert (result.release.id, result.unchanged) == (made, unchanged)


STEP = Progress("packages", 4, "installing", 5.0)


def make_directories(config: Config, *names: str) -> None:
    for name in names:
        (config.path.parent / "images" / name).mkdir()


def test_all_images_are_built_and_one_that_fails_keeps_no_other_from_it(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_directories(config, "classroom", "lab", "Not-a-name")
    publish(config.images, NEXT, "lab")
    built: list[str] = []

    def build(*arguments: object) -> release.Release:
        *_, report, _rebuild, _hear, _added, image, others, _since, _ring, _mirror = arguments
        assert callable(report)
        report(STEP)
        built.append(str(image))
        assert others == ("boinc", "classroom", "lab")
        if image == "classroom":
            raise BuildError("packages", "it failed", "do this")
        return release.activate(config.images, NEW if image == "boinc" else NEXT)

    monkeypatch.setattr(requested_build, "build", build)
    told: list[Progress] = []
    with pytest.raises(BuildError) as caught:
        RequestedBuild(config, BuildOrder(Rebuild.ALWAYS), Builder.PROCESS).run(told.append)
    assert built == ["boinc", "classroom", "lab"]
    assert [each.image for each in told] == built
    assert str(caught.value) == (
        f"the image classroom: it failed; the image boinc was built: {NEW}; the image lab was built: {NEXT}"
    )
    assert release.active_ids(config.images) == {"boinc": NEW, "lab": NEXT}


@pytest.mark.parametrize("asked", [0.0, 1796083200.0])
def test_what_is_renewed_once_is_what_was_asked_for_or_this_build(
    config: Config, monkeypatch: pytest.MonkeyPatch, asked: float
) -> None:
    make_directories(config, "lab")
    told: list[float] = []

    def build(*arguments: object) -> release.Release:
        *_, since, _ring, _mirror = arguments
        assert isinstance(since, float)
        told.append(since)
        return release.activate(config.images, NEW)

    monkeypatch.setattr(requested_build, "build", build)
    before = time.time()
    request(config, config.path, Rebuild.APART, inside_unit=False, since=asked).run(lambda _: None)
    first, second = told
    assert first == second
    assert first == asked if asked else before <= first <= time.time()


@pytest.mark.parametrize(("builder", "warned"), [(Builder.UNIT, False), (Builder.INSIDE_UNIT, True)])
def test_only_who_builds_warns_that_it_cannot_make_a_key(
    config: Config, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, builder: Builder, warned: bool
) -> None:
    (config.server.data / "image-keys").write_text("in the way")
    made = release.read(config.images, NEW)
    monkeypatch.setattr(build_unit, "follow", lambda *_: [made])
    monkeypatch.setattr(build_unit, "record", lambda *_: [made])
    RequestedBuild(config, BuildOrder(), builder).run(lambda _: None)
    assert ("no key to sign releases with" in caplog.text) is warned


def test_one_that_is_named_is_built_alone(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    make_directories(config, "lab")
    publish(config.images, NEXT, "lab")
    monkeypatch.setattr(requested_build, "build", lambda *_: release.activate(config.images, NEXT))
    wanted = request(config, config.path, Rebuild.ALWAYS, inside_unit=False, names=("lab", "lab"))
    assert wanted.order.names == ("lab",)
    assert [(each.release.id, each.unchanged) for each in wanted.run(lambda _: None)] == [(NEXT, False)]
    assert release.active_ids(config.images) == {"boinc": OLD, "lab": NEXT}


def test_an_image_that_is_not_there_is_named_with_those_that_are_like_it(config: Config) -> None:
    make_directories(config, "classroom")
    with pytest.raises(UserError, match="there is no image 'clasroom'; nothing was changed") as caught:
        request(config, config.path, Rebuild.NEVER, inside_unit=False, names=("clasroom",))
    assert caught.value.hint.startswith("did you mean classroom?; or make one: a directory of that name in ")
