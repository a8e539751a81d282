"""Publishing a release: complete, or nothing."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from image import release
from image.publish import publish
from image.recipe import ImageRecipe
from image.release import ArchiveState, Release


def _release(directory: Path) -> Release:
    created, digest = datetime(2026, 11, 23, 15, 1, 2, tzinfo=UTC), "1a2b3c4d" * 8
    path = directory / "images" / release.name(created, digest)
    archives = (ArchiveState("trixie", "Sat, 21 Nov 2026 09:15:44 UTC", "0" * 64),)
    return Release(path, created, ImageRecipe(snapshot="20261101T000000Z"), digest, "6.1.0", {}, archives=archives)


def test_publishing_copies_files_and_writes_the_manifest(tmp_path: Path) -> None:
    sources = {}
    for name in (release.KERNEL, release.INITRD, release.SQUASHFS, release.PACKAGES, "loaders/snponly.efi"):
        sources[name] = tmp_path / name.replace("/", "-")
        sources[name].write_text(name)
    made = publish(_release(tmp_path), sources)
    assert release.read(tmp_path / "images", "20261123-150102-1a2b3c4d") == made
    assert release.verify(made) == []
    assert release.current(tmp_path / "images") is None


def test_a_publication_that_fails_leaves_nothing(tmp_path: Path) -> None:
    kernel = tmp_path / "kernel"
    kernel.write_text("kernel")
    sources = {release.KERNEL: kernel, release.INITRD: tmp_path / "missing"}
    with pytest.raises(FileNotFoundError):
        publish(_release(tmp_path), sources)
    assert list((tmp_path / "images").iterdir()) == []
