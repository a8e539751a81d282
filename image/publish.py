"""Turns the files of a build into a release: copies them, with a manifest, into a directory of images.

Does not activate it: see `image.release`.
"""

import shutil
import tempfile
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

from image import plain_files, release
from image.recipe import ImageRecipe
from image.release import Release

_UNFINISHED = ".building-"


def publish(
    images: Path,
    sources: Mapping[str, Path],
    created: datetime,
    recipe: ImageRecipe,
    digest: str,
    kernel: str,
    added: str = "",
    sign: Callable[[bytes], bytes] | None = None,
) -> Release:
    """Copy the files of a release into its directory, which appears complete or, if the power fails, not at all.

    `sources` has a path for each of KERNEL, INITRD, SQUASHFS and PACKAGES, for MICROCODE if there is some, and for each
    boot loader. What an interrupted publication left is removed first. `sign` makes the signature of a manifest. Raises
    OSError, and what `sign` raises.
    """
    images.mkdir(mode=0o755, parents=True, exist_ok=True)
    for left in images.glob(f"{_UNFINISHED}*"):
        shutil.rmtree(left)
    final = images / release.name(created, digest)
    unfinished = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=images))
    try:
        for each, source in sources.items():
            (unfinished / each).parent.mkdir(exist_ok=True)
            shutil.copyfile(source, unfinished / each)
            plain_files.settle(unfinished / each)
        files = {each: release.describe(unfinished / each) for each in sources}
        made = Release(final, created, recipe, digest, kernel, files, added)
        manifest = release.render_manifest(made)
        plain_files.write(unfinished / release.MANIFEST, manifest)
        if sign:
            plain_files.write(unfinished / release.SIGNATURE, sign(manifest))
        # Clients must be able to read them, whatever the umask of the build.
        plain_files.settle_directories(unfinished)
        unfinished.rename(final)
        plain_files.sync_directory(images)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    return made
