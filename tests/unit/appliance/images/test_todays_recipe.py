"""Whether the active release is of today's recipe, and where people are told."""

import dataclasses
import json
from pathlib import Path

import pytest

from appliance.config.file import load, tolerant
from appliance.doctor.finding import Severity
from appliance.doctor.image import judge_image
from appliance.images.todays_recipe import outdated
from image import build, custom_files, release
from image.build import digest_today
from image.recipe import ImageRecipe
from tests.unit.appliance.cli.box_with_releases import NEW, BoxWithReleases
from tests.unit.appliance.cli.program import netboot_appliance


@pytest.fixture
def box(tmp_path: Path) -> BoxWithReleases:
    """Its releases say that they are of the default recipe, and were built by some other version."""
    return BoxWithReleases(tmp_path)


def rebuilt(box: BoxWithReleases, recipe: ImageRecipe) -> release.Release:
    """The active release, as if it had been built of this recipe by this version."""
    images = box.data / "images"
    found = dataclasses.replace(release.read(images, NEW), recipe=recipe, digest=digest_today(recipe))
    (images / NEW / release.MANIFEST).write_bytes(release.render_manifest(found))
    return release.read(images, NEW)


def notes_of_config_check(box: BoxWithReleases) -> list[str]:
    done = netboot_appliance("--config", box.data / "c.toml", "config", "check", "--json")
    return [note for note in json.loads(done.stdout)["notes"] if "recipe" in note]


def test_a_release_of_todays_recipe_is_not_mentioned_anywhere(box: BoxWithReleases) -> None:
    found = rebuilt(box, ImageRecipe())
    assert outdated(load(box.data / "c.toml"), found) == ""
    assert box.status()["image_outdated"] == ""
    assert "recipe        trixie\n" in box.run("image", "show")
    assert notes_of_config_check(box) == []


@pytest.mark.parametrize(
    ("recipe", "why"),
    [
        (
            ImageRecipe(distribution="bookworm"),
            '[image] distribution is "trixie", and it was built with "bookworm"',
        ),
        (ImageRecipe(backports=True), "[image] backports is false, and it was built with true"),
        (
            ImageRecipe(packages=("htop", "curl"), firmware="all"),
            '[image] packages is [], and it was built with ["htop", "curl"]; '
            '[image] firmware is "network", and it was built with "all"',
        ),
    ],
)
def test_a_setting_that_was_edited_since_is_named(box: BoxWithReleases, recipe: ImageRecipe, why: str) -> None:
    assert outdated(load(box.data / "c.toml"), rebuilt(box, recipe)) == why


def test_another_version_of_the_live_system_is_named(box: BoxWithReleases, monkeypatch: pytest.MonkeyPatch) -> None:
    found = rebuilt(box, ImageRecipe())
    tree = build.read_tree()
    monkeypatch.setattr(build, "read_tree", lambda: tree | {"hooks/live/9999-new.hook.chroot": b"#!/bin/sh\n"})
    assert outdated(load(box.data / "c.toml"), found) == "another version of netboot-appliance built it"


def test_files_that_were_changed_since_are_named(box: BoxWithReleases) -> None:
    found = rebuilt(box, ImageRecipe())
    config = load(box.data / "c.toml")
    own = config.path.parent / "images" / "boinc"
    (own / "files").mkdir(parents=True)
    (own / "files" / "motd").write_text("hello")
    assert outdated(config, found) == f"what is in {own} was changed"


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("preseed/a.cfg", "a b string c\n", "what is in {own} was changed"),
        ("config/includes.chroot/etc/motd", "hello\n", "what is in {own} was changed"),
        (
            "recipe.toml",
            '[image]\nkernel = "rt-amd64"\n',
            '[image] kernel is "rt-amd64", and it was built with "amd64"',
        ),
        ("recipe.toml", "[image]\nkernel = 1\n", "{own}/recipe.toml:2: [image] kernel = 1: write text in quotes"),
        ("packages", "htop\n", '[image] packages is ["htop"], and it was built with []'),
    ],
)
def test_all_that_a_recipe_may_have_counts(box: BoxWithReleases, name: str, text: str, why: str) -> None:
    found, config = rebuilt(box, ImageRecipe()), load(box.data / "c.toml")
    own = config.path.parent / "images" / "boinc"
    (own / name).parent.mkdir(parents=True)
    (own / name).write_text(text)
    assert outdated(config, found) == why.format(own=own)


def test_config_check_names_a_recipe_that_cannot_be_used_though_no_image_is_active(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(f'[server]\ninterfaces = ["lo"]\ndata = "{tmp_path}"\n')
    own = tmp_path / "images" / "boinc"
    own.mkdir(parents=True)
    (own / "recipe.toml").write_text('[image]\nkernel = "686"\n')
    done = netboot_appliance("--config", tmp_path / "c.toml", "config", "check", "--json")
    (note,) = [each for each in json.loads(done.stdout)["notes"] if "recipe.toml" in each]
    assert note.startswith(
        f"the image boinc could not be built: {own}/recipe.toml:2: [image] kernel: '686' is not a kernel flavour"
    )


def test_it_is_said_with_the_cure_and_is_no_error(box: BoxWithReleases) -> None:
    why = '[image] distribution is "trixie", and it was built with "bookworm"'
    cure = "sudo netboot-appliance image build"
    found = rebuilt(box, ImageRecipe(distribution="bookworm"))
    assert box.status()["image_outdated"] == why
    shown = box.run("image", "show")
    assert f"recipe        bookworm; not of today: {why}\n              do: {cure}\n" in shown
    assert json.loads(box.run("image", "show", "--json"))["outdated"] == why
    (said,) = notes_of_config_check(box)
    assert said == f"the active image {NEW} is not of today's recipe: {why}; to build that: {cure}"
    complete, finding = judge_image(found, [], why)
    assert complete.severity == Severity.OK
    assert (finding.severity, finding.why) == (Severity.NOTE, f"{why}; PCs boot it as it is")
    assert cure in finding.what_to_do


def test_a_configuration_that_cannot_be_read_says_nothing_about_the_image(box: BoxWithReleases) -> None:
    found = rebuilt(box, ImageRecipe(distribution="bookworm"))
    (box.data / "c.toml").write_text(f'[server]\ndata = "{box.data}"\nnonsense = 1\n')
    assert outdated(tolerant(box.data / "c.toml"), found) == ""


def test_files_that_only_root_may_read_are_no_reason_for_others(
    box: BoxWithReleases, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, config = rebuilt(box, ImageRecipe()), load(box.data / "c.toml")
    files = box.data / "images" / "boinc" / "files"
    files.mkdir(parents=True)
    (files / "secret").write_text("x")
    assert "was changed" in outdated(config, found)

    def forbidden(path: Path, *_: int) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(custom_files, "_digest", forbidden)
    assert outdated(config, found) == ""
    (files.parent / "nonsense").touch()
    assert "nothing that an image can be made of" in outdated(config, found)
