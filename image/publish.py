"""Turns the files of a build into a release: copies them, with a manifest, into a directory of images.

Does not activate it: see `image.release`.
"""

import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from image import plain_files, release
from image.release import Release

_UNFINISHED = ".building-"


def remove_unfinished(images: Path) -> None:
    """Remove what an interrupted publication has left. Raises OSError."""
    for left in images.glob(f"{_UNFINISHED}*"):
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left)


def publish(
    made: Release,
    sources: Mapping[str, Path],
    sign: Callable[[bytes], bytes] | None = None,
    tell_bytes: Callable[[int, int], None] = lambda done, total: None,
) -> Release:
    """Copy the files of a release into its directory, which appears complete or, if the power fails, not at all.

    `made` is the release without its files; it is returned with them. `sources` has a path for each of KERNEL, INITRD,
    SQUASHFS and PACKAGES, for MICROCODE if there is some, and for each boot loader. `sign` makes the signature of a
    manifest. `tell_bytes` is told how many bytes of how many are copied. Raises OSError, and what `sign` raises.
    """
    images = made.path.parent
    images.mkdir(mode=0o755, parents=True, exist_ok=True)
    copied, total = 0, sum(source.stat().st_size for source in sources.values())
    unfinished = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=images))
    try:
        for each, source in sources.items():
            (unfinished / each).parent.mkdir(exist_ok=True)
            shutil.copyfile(source, unfinished / each)
            plain_files.settle(unfinished / each)
            copied += source.stat().st_size
            tell_bytes(copied, total)
        files = {each: release.describe(unfinished / each) for each in sources}
        made = replace(made, files=files)
        manifest = release.render_manifest(made)
        plain_files.write(unfinished / release.MANIFEST, manifest)
        if sign:
            plain_files.write(unfinished / release.SIGNATURE, sign(manifest))
        # Clients must be able to read them, whatever the umask of the build.
        plain_files.settle_directories(unfinished)
        unfinished.rename(made.path)
        plain_files.sync_directory(images)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    return made
