"""Turns the files of a build into a release: copies them, with a manifest, into a directory of images.

Does not activate it: see `image.release`.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

from image import release
from image.recipe import ImageRecipe
from image.release import Release

_UNFINISHED = ".building-"


def remove_unfinished(images: Path) -> None:
    """Remove what an interrupted publication has left. Raises OSError."""
    for left in images.glob(f"{_UNFINISHED}*"):
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left)


def publish(
    images: Path,
    sources: Mapping[str, Path],
    created: datetime,
    recipe: ImageRecipe,
    digest: str,
    kernel: str,
    added: str = "",
    tell_bytes: Callable[[int, int], None] = lambda done, total: None,
) -> Release:
    """Copy the files of a release into its directory, which appears complete or, if the power fails, not at all.

    `sources` has a path for each of KERNEL, INITRD, SQUASHFS and PACKAGES, for MICROCODE if there is some, and for each
    boot loader. `tell_bytes` is told how many bytes of how many are copied. Raises OSError.
    """
    images.mkdir(mode=0o755, parents=True, exist_ok=True)
    final = images / release.name(created, digest)
    copied, total = 0, sum(source.stat().st_size for source in sources.values())
    unfinished = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=images))
    try:
        for each, source in sources.items():
            (unfinished / each).parent.mkdir(exist_ok=True)
            shutil.copyfile(source, unfinished / each)
            _settle(unfinished / each)
            copied += source.stat().st_size
            tell_bytes(copied, total)
        files = {each: release.describe(unfinished / each) for each in sources}
        made = Release(final, created, recipe, digest, kernel, files, added)
        (unfinished / release.MANIFEST).write_bytes(release.render_manifest(made))
        _settle(unfinished / release.MANIFEST)
        for directory in (*(path for path in unfinished.iterdir() if path.is_dir()), unfinished):
            # Clients must be able to read them, whatever the umask of the build.
            directory.chmod(0o755)
            release.sync_directory(directory)
        unfinished.rename(final)
        release.sync_directory(images)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    return made


def _settle(path: Path) -> None:
    path.chmod(0o644)
    with path.open("rb") as file:
        os.fsync(file.fileno())
