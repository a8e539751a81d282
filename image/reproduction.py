"""Builds the recipe of a release once more, from nothing, to see whether the same bits come out.

In a directory of its own, with nothing that earlier builds have kept; what PCs boot is not touched.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from image import build, work_directory
from image.customization import Customization
from image.progress import Progress
from image.release import Release, ReleaseError

_WORK, _IMAGES = "work", "images"


@contextmanager
def reproduced(
    wanted: Release,
    added: Customization,
    scratch: Path,
    report: Callable[[Progress], None],
    snapshot_mirror: str = "",
) -> Iterator[Release]:
    """A new release of the same recipe, in `scratch`, which is emptied before and afterwards. `added` is what the
    administrator adds today. Raises BuildError, OSError, and ReleaseError where another image would come out for
    certain."""
    if added.digest != wanted.added:
        raise ReleaseError(
            f"the files or hooks that were added to {wanted.id} have changed since",
            "put them back as they were, or compare with the next release: netboot-appliance image diff",
        )
    if build.digest_today(wanted.recipe, added) != wanted.digest:
        raise ReleaseError(
            f"another version of netboot-appliance built {wanted.id}", "install that version to build it again"
        )
    scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
    with work_directory.locked(scratch):
        _empty(scratch)
        try:
            yield build.build(
                wanted.recipe,
                scratch / _WORK,
                scratch / _IMAGES,
                report,
                build.Rebuild.ALWAYS,
                added=added,
                image=wanted.image,
                snapshot_mirror=snapshot_mirror,
            )
        finally:
            _empty(scratch)


def differing(wanted: Release, made: Release) -> tuple[str, ...]:
    """The files whose bits differ, or that only one of the two has; by name."""
    names = sorted(wanted.files.keys() | made.files.keys())
    return tuple(name for name in names if wanted.files.get(name) != made.files.get(name))


def other_archives(wanted: Release, made: Release) -> tuple[str, ...]:
    """The suites whose state is not that of then, in words with both dates; empty if that is not known."""
    then, now = ({each.suite: each for each in one.archives} for one in (wanted, made))
    both = (suite for suite in sorted(then.keys() & now.keys()) if then[suite].sha256 != now[suite].sha256)
    return tuple(f"{suite}: {then[suite].date} then, {now[suite].date} now" for suite in both)


def _empty(scratch: Path) -> None:
    if (scratch / _WORK).exists():
        # Says what is mounted there, and nothing is removed then.
        work_directory.claim(scratch / _WORK)
    for name in (_WORK, _IMAGES):
        if (scratch / name).exists():
            shutil.rmtree(scratch / name)
