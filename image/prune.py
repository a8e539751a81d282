"""Deletes old releases. The caller says which ones PCs may be running.

A release is renamed before it is deleted, so it vanishes in one step. What an interrupted deletion left behind is
removed the next time.
"""

import shutil
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from image import release
from image.names import CURRENT, PREVIOUS, link
from image.release import Release

_DELETED = ".pruned-"


@dataclass(frozen=True, slots=True)
class PruneList:
    """The releases of a directory, newest first: those to delete, and those to keep with the reasons, in words."""

    old: tuple[Release, ...]
    kept: tuple[tuple[Release, tuple[str, ...]], ...]


def choose(
    images: Path,
    keep: int,
    running: Collection[str],
    named: Collection[str] = (),
    tried: Collection[str] = (),
    retired: Collection[str] = (),
) -> PruneList:
    """Separate old releases from those to keep: of each image the `keep` newest, the active and the previous one; those
    `running`, those `named` by entries of a boot menu, and those that are `tried`: a canary, or what a PC went back to.
    Of images that are `retired` only those of the latter three kinds stay.

    Broken releases are in neither list. Raises ReleaseError if an active one cannot be determined.
    """
    names = [image for image in release.active_ids(images) if image not in retired]
    reasons = {
        "active": {found.id for image in names if (found := release.current(images, image))},
        "previous": {found.id for image in names if (found := release.previous(images, image))},
    }
    old: list[Release] = []
    kept: list[tuple[Release, tuple[str, ...]]] = []
    newer: Counter[str] = Counter()
    for each in release.releases(images).releases:
        why = tuple(reason for reason, ids in reasons.items() if each.id in ids)
        newer[each.image] += 1
        if newer[each.image] <= keep and each.image not in retired:
            why = (*why, f"among the {keep} newest")
        if each.id in named:
            why = (*why, "a boot menu names it")
        if each.id in tried:
            why = (*why, "a canary, or a PC that went back, needs it")
        if each.id in running:
            why = (*why, "a PC may be running it")
        if why:
            kept.append((each, why))
        else:
            old.append(each)
    return PruneList(tuple(old), tuple(kept))


def prune(
    images: Path,
    keep: int,
    running: Collection[str],
    named: Collection[str] = (),
    tried: Collection[str] = (),
    retired: Collection[str] = (),
) -> PruneList:
    """Delete what `choose` calls old, the links of retired images, and what an interrupted call left; raises
    ReleaseError, OSError."""
    if not images.is_dir():
        return PruneList((), ())
    with release.changing(images):
        found = choose(images, keep, running, named, tried, retired)
        for name in retired:
            for which in (CURRENT, PREVIOUS):
                (images / link(which, name)).unlink(missing_ok=True)
        for each in found.old:
            each.path.rename(images / f"{_DELETED}{each.id}")
    for left in images.glob(f"{_DELETED}*"):
        shutil.rmtree(left)
    return found
