"""Deletes old releases. The caller says which ones PCs may be running.

A release is renamed before it is deleted, so it vanishes in one step. What an interrupted deletion left behind is
removed the next time.
"""

import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from image import partial, release
from image.release import Release

_DELETED = ".pruned-"


@dataclass(frozen=True, slots=True)
class PruneList:
    """The releases of a directory, newest first: those to delete, and those to keep with the reasons, in words."""

    old: tuple[Release, ...]
    kept: tuple[tuple[Release, tuple[str, ...]], ...]


def choose(
    images: Path, keep: int, running: Collection[str], named: Collection[str] = (), tried: Collection[str] = ()
) -> PruneList:
    """Separate old releases from those to keep: the `keep` newest, the active and the previous one, those `running`,
    those `named` by entries of a boot menu, and those that are `tried`: a canary, or what a PC went back to.

    Broken releases are in neither list. Raises ReleaseError if the active one cannot be determined.
    """
    active, previous = release.current(images), release.previous(images)
    reasons: dict[str, Collection[str]] = {
        "active": {active.id} if active else (),
        "previous": {previous.id} if previous else (),
    }
    old: list[Release] = []
    kept: list[tuple[Release, tuple[str, ...]]] = []
    for number, each in enumerate(release.releases(images).releases):
        why = tuple(reason for reason, ids in reasons.items() if each.id in ids)
        if number < keep:
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
    images: Path, keep: int, running: Collection[str], named: Collection[str] = (), tried: Collection[str] = ()
) -> PruneList:
    """Delete what `choose` calls old, and what interrupted calls and pulls left; raises ReleaseError, OSError."""
    if not images.is_dir():
        return PruneList((), ())
    with release.changing(images):
        found = choose(images, keep, running, named, tried)
        for each in found.old:
            each.path.rename(images / f"{_DELETED}{each.id}")
    for left in images.glob(f"{_DELETED}*"):
        shutil.rmtree(left)
    partial.sweep(images)
    return found
