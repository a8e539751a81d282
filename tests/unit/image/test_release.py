"""Releases on a real file system: listing, activating, rolling back, finding damage."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from image import release
from image.recipe import ImageRecipe
from image.release import Release, ReleaseError

OLD, NEW = "20261122-090000-aaaaaaaa", "20261123-150102-1a2b3c4d"


def publish(images: Path, release_id: str, image: str = "boinc") -> Release:
    directory = images / release_id
    (directory / "live").mkdir(parents=True)
    microcode = () if release_id == OLD else (release.MICROCODE,)
    names = (release.KERNEL, release.INITRD, release.SQUASHFS, release.PACKAGES, *microcode)
    for name in names:
        (directory / name).write_bytes(f"{name} of {release_id}".encode())
    files = {name: release.describe(directory / name) for name in names}
    made = Release(
        directory,
        datetime(2026, 11, 23, 15, 1, 2, tzinfo=UTC),
        ImageRecipe(),
        "1a2b3c4d" * 8,
        "6.1.0-1-amd64",
        files,
        image=image,
    )
    (directory / release.MANIFEST).write_bytes(release.render_manifest(made))
    return made


@pytest.fixture
def images(tmp_path: Path) -> Path:
    publish(tmp_path, OLD)
    publish(tmp_path, NEW)
    return tmp_path


def test_an_id_sorts_by_time_and_names_the_recipe() -> None:
    assert release.name(datetime(2026, 11, 23, 15, 1, 2, tzinfo=UTC), "1a2b3c4d" * 8) == NEW


def test_two_releases_of_one_recipe_never_have_one_name(tmp_path: Path) -> None:
    digest = "1a2b3c4d" * 8
    began = datetime.now(UTC).replace(microsecond=0)
    taken = [began + timedelta(seconds=after) for after in range(60)]
    for each in taken:
        (tmp_path / release.name(each, digest)).mkdir()
    assert release.moment(tmp_path, digest) == taken[-1] + timedelta(seconds=1)
    assert release.moment(tmp_path, digest, "lab") in taken


def test_a_manifest_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    made = publish(tmp_path, NEW)
    assert release.read(tmp_path, NEW) == made
    assert made.size == sum(
        path.stat().st_size for path in made.path.rglob("*") if path.name != release.MANIFEST and path.is_file()
    )


def test_the_layers_of_a_live_system_are_the_base_and_then_the_others_by_name(tmp_path: Path) -> None:
    made = publish(tmp_path, NEW)
    assert made.layers == (release.SQUASHFS,)
    names = ("live/b.squashfs", "live/filesystem.squashfs", "live/a.squashfs", "live/filesystem.module", "x.squashfs")
    above = replace(made, files=dict.fromkeys(names, release.ReleaseFile(1, "")))
    assert above.layers == ("live/filesystem.squashfs", "live/a.squashfs", "live/b.squashfs")


def test_releases_are_listed_newest_first(images: Path) -> None:
    assert [each.id for each in release.releases(images).releases] == [NEW, OLD]


def test_a_missing_directory_holds_no_release(tmp_path: Path) -> None:
    assert release.releases(tmp_path / "none") == release.Listing((), ())
    assert release.current(tmp_path / "none") is None


def test_a_release_of_an_older_version_is_still_one(images: Path) -> None:
    recipe = {"distribution": "bookworm", "architecture": "amd64", "kernel": "amd64", "packages": [], "firmware": False}
    edit(images / OLD, "recipe", recipe)
    assert release.read(images, OLD).recipe == ImageRecipe(distribution="bookworm", firmware="none")


def test_microcode_is_a_file_of_its_own_that_an_old_release_lacks(images: Path) -> None:
    assert [release.has_microcode(images, each) for each in (OLD, NEW, "20260101-000000-00000000")] == [0, 1, 0]
    assert release.MICROCODE in release.read(images, NEW).files
    assert release.MICROCODE not in release.read(images, OLD).files


def test_other_files_are_not_listed(images: Path) -> None:
    (images / ".building-x").mkdir()
    (images / "notes").mkdir()
    release.activate(images, NEW)
    assert [each.id for each in release.releases(images).releases] == [NEW, OLD]


def pipe(path: Path) -> None:
    """Replace the file by a pipe into which nobody writes."""
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda path: (path / release.MANIFEST).unlink(), "its manifest cannot be read"),
        (lambda path: (path / release.MANIFEST).write_text("{"), "its manifest is damaged"),
        (lambda path: (path / release.MANIFEST).write_text("[]"), "its manifest is damaged"),
        (lambda path: (path / release.MANIFEST).write_bytes(b" " * (1 << 21)), "it is too large"),
        (lambda path: (path / release.MANIFEST).write_bytes(b"[" * 100_000), "its manifest is damaged"),
        (lambda path: pipe(path / release.MANIFEST), "it is not a regular file"),
        (lambda path: edit(path, "files", {}), "it does not list vmlinuz"),
        (lambda path: edit(path, "id", OLD), f"it is the manifest of {OLD}"),
        (
            lambda path: edit(path, "recipe", {"packages": [], "kernel": "none"}),
            "kernel: 'none' is not a kernel flavour",
        ),
        (lambda path: edit(path, "recipe", {"packages": [], "colour": "red"}), "colour"),
        (lambda path: (path / release.INITRD).unlink(), "initrd.img is missing"),
        (lambda path: (path / release.MICROCODE).unlink(), "microcode.img is missing"),
        (lambda path: (path / release.SQUASHFS).write_bytes(b"short"), "filesystem.squashfs has 5 bytes instead of"),
    ],
)
def test_a_broken_release_is_reported_and_the_others_are_still_listed(
    images: Path, damage: Callable[[Path], object], said: str
) -> None:
    damage(images / NEW)
    listing = release.releases(images)
    assert [each.id for each in listing.releases] == [OLD]
    (error,) = listing.broken
    assert said in str(error)
    assert NEW in str(error)
    assert str(images / NEW) in error.hint


def edit(path: Path, key: str, value: object) -> None:
    manifest = json.loads((path / release.MANIFEST).read_text())
    manifest[key] = value
    (path / release.MANIFEST).write_text(json.dumps(manifest))


@pytest.mark.parametrize("release_id", ["20261101-000000-00000000", "current", "../images", "", "x"])
def test_an_unknown_release(images: Path, release_id: str) -> None:
    release.activate(images, OLD)
    with pytest.raises(ReleaseError, match="there is no release"):
        release.activate(images, release_id)
    active = release.current(images)
    assert active is not None
    assert active.id == OLD


def test_nothing_is_active_at_first(images: Path) -> None:
    assert release.current(images) is None
    assert release.previous(images) is None


def test_activating_replaces_the_link_in_one_step_and_remembers(images: Path) -> None:
    release.activate(images, OLD)
    assert release.previous(images) is None
    release.activate(images, NEW)
    assert os.readlink(images / "current") == NEW
    assert os.readlink(images / "previous") == OLD
    assert [path.name for path in images.iterdir() if path.name.startswith(".")] == [".lock"]


def test_activating_the_active_release_keeps_the_way_back(images: Path) -> None:
    release.activate(images, OLD)
    release.activate(images, NEW)
    release.activate(images, NEW)
    before = release.previous(images)
    assert before is not None
    assert before.id == OLD


def test_a_broken_release_cannot_be_activated(images: Path) -> None:
    release.activate(images, OLD)
    (images / NEW / release.KERNEL).unlink()
    with pytest.raises(ReleaseError, match="vmlinuz is missing"):
        release.activate(images, NEW)
    assert os.readlink(images / "current") == OLD


def test_a_link_left_over_from_an_interrupted_activation_does_no_harm(images: Path) -> None:
    (images / ".current.new").symlink_to("nowhere")
    assert release.activate(images, NEW).id == NEW


def test_verifying_reads_every_byte(images: Path) -> None:
    found = release.read(images, NEW)
    assert release.verify(found) == []
    content = bytearray((images / NEW / release.SQUASHFS).read_bytes())
    content[3] ^= 1
    (images / NEW / release.SQUASHFS).write_bytes(content)
    (images / NEW / release.PACKAGES).unlink()
    problems = release.verify(found)
    assert problems[0].startswith("live/filesystem.squashfs is not what was built")
    assert problems[1] == "packages cannot be read: No such file or directory"


NEXT = "20261201-090000-cccccccc"


def test_each_image_has_an_active_and_a_previous_release_of_its_own(images: Path) -> None:
    publish(images, NEXT, "lab")
    lab = "20261202-090000-dddddddd"
    publish(images, lab, "lab")
    for each in (OLD, NEW, NEXT, lab):
        release.activate(images, each)
    assert release.active_ids(images) == {"boinc": NEW, "lab": lab}
    assert (release.current(images, "lab"), release.previous(images, "lab")) == (
        release.read(images, lab),
        release.read(images, NEXT),
    )
    assert release.activate(images, NEXT).id == NEXT
    assert (release.active_id(images), release.active_id(images, "lab")) == (NEW, NEXT)
    # As it was before there was another image: an older version finds what it knows.
    assert os.readlink(images / "current") == NEW
    assert os.readlink(images / "previous") == OLD
    assert b'"image"' not in (images / NEW / release.MANIFEST).read_bytes()
    assert release.previous(images, "rack") is None


@pytest.mark.parametrize("name", ["", "Lab", "a/b", "../lab", "current", "previous", "7", "-lab", "x" * 32, "lab\n"])
def test_a_release_of_an_image_that_cannot_be_is_broken(images: Path, name: str) -> None:
    manifest = images / NEW / release.MANIFEST
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"image": name}))
    with pytest.raises(ReleaseError, match="cannot be the name of an image"):
        release.read(images, NEW)


def test_links_that_are_none_of_an_image_say_nothing(images: Path) -> None:
    for name in ("current.boinc", "current.", "current.Lab", ".current.lab.new", "currents", "current.current"):
        (images / name).symlink_to(NEW)
    assert release.active_ids(images) == {}
