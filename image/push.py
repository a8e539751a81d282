"""Lays out a release for other boxes to pull: plain files in a directory (offers.py), for any web server or bucket.

The release is copied, and appears there complete or not at all; the index is written last.
"""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from image import activation, offers, plain_files, release
from image.activation import Seal
from image.offers import Offer
from image.release import Release, ReleaseError
from image.signature import KeyRing

_UNFINISHED = ".pushing-"


@dataclass(frozen=True, slots=True)
class PushedRelease:
    """A release that was laid out. `key`: the id of the key that has signed it. `new`: whether it was not there before.
    `offered`: how many are there now."""

    release: Release
    key: str
    new: bool
    offered: int


def push(images: Path, ident: str, directory: Path, ring: KeyRing) -> PushedRelease:
    """Lay out a release that is as it was built, and well signed. Raises ReleaseError."""
    checked = activation.assert_usable(images, ident, ring)
    if checked.seal is not Seal.GOOD:
        raise ReleaseError(
            f"the release {ident} is not signed, so no other box would take it",
            f"sign it: netboot-appliance image sign {ident}",
        )
    found = checked.release
    try:
        new = _lay_out(found, directory / offers.RELEASES)
        listing = release.releases(directory / offers.RELEASES)
        signed = [each for each in listing.releases if (each.path / release.SIGNATURE).exists()]
        index = offers.encode(Offer(each.id, each.size) for each in signed)
        plain_files.write(directory / offers.INDEX, index)
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise ReleaseError(
            f"cannot lay {ident} out in {directory}: {reason}", "check the directory and its disk"
        ) from error
    return PushedRelease(found, checked.key, new, len(signed))


def _lay_out(found: Release, releases: Path) -> bool:
    """Whether it was not there before, as it is here."""
    releases.mkdir(mode=0o755, parents=True, exist_ok=True)
    for left in releases.glob(f"{_UNFINISHED}*"):
        shutil.rmtree(left)
    names = (*found.files, release.MANIFEST, release.SIGNATURE)
    final = releases / found.id
    if final.exists() and all(_same(found.path / name, final / name) for name in names):
        return False
    unfinished = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=releases))
    try:
        for name in names:
            (unfinished / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(found.path / name, unfinished / name)
            plain_files.settle(unfinished / name)
        plain_files.settle_directories(unfinished)
        if final.exists():
            # Damaged, or signed by another key since.
            final.rename(releases / f"{_UNFINISHED}{found.id}")
        unfinished.rename(final)
        plain_files.sync_directory(releases)
    finally:
        for left in releases.glob(f"{_UNFINISHED}*"):
            shutil.rmtree(left, ignore_errors=True)
    return True


def _same(one: Path, other: Path) -> bool:
    try:
        return release.describe(one) == release.describe(other)
    except OSError:
        return False
