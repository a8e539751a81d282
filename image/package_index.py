"""Asks the current indices of the archive, and of the administrator's repositories, which packages of a live system
have a newer version. Changes nothing.

apt does it, in a root of its own (apt_root.py) that is deleted afterwards; no root's rights are needed. `image.updates`
reads its answer.
"""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from image import apt, updates
from image.apt_root import apt_root, reason
from image.command import CommandError
from image.progress import BuildError
from image.recipe import ImageRecipe
from image.repositories import Repository
from image.updates import PackageUpdate

SECONDS = 180.0
"""How long the indices may take, about 10 MB. A mirror that is away costs a few connections of 10 s."""


class PackageIndexError(Exception):
    """The indices cannot be had, or not be believed; `hint` says what to do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def find_updates(
    packages: Mapping[str, str],
    recipe: ImageRecipe,
    snapshot_mirror: str = "",
    added: Sequence[Repository] = (),
    seconds: float = SECONDS,
) -> tuple[PackageUpdate, ...]:
    """The packages with a newer version in the archive that an image of this recipe is built from on this machine, or
    in the repositories that are `added`; those of security first. `packages` has the versions in the live system by
    name, and `snapshot_mirror` is where snapshots are (apt.mirrors_for). Raises PackageIndexError."""
    try:
        mirrors = apt.mirrors_for(recipe, snapshot_mirror)
    except BuildError as error:
        raise PackageIndexError(str(error), error.hint) from error
    status = updates.status(packages, recipe.architecture)
    try:
        with tempfile.TemporaryDirectory(prefix="netboot-appliance-check-") as directory:
            # Run by root, apt fetches as a user of its own.
            Path(directory).chmod(0o755)
            root = apt_root(Path(directory).absolute(), recipe, added, mirrors, status)
            root.write()
            root.run("apt-get", "update", seconds=seconds)
            names = (each.removesuffix(f":{recipe.architecture}") for each in packages)
            policy = root.run("apt-cache", "policy", *names, seconds=seconds)
    except CommandError as error:
        raise PackageIndexError(
            f"the archive's indices cannot be had: {reason(error)}", f"{_hint(recipe)}; then try again"
        ) from error
    except OSError as error:
        raise PackageIndexError(
            f"the archive's indices cannot be kept: {error.strerror or error}",
            "apt must be installed, and have 200 MB in the directory for temporary files",
        ) from error
    return updates.parse(policy, packages, recipe.architecture)


def _hint(recipe: ImageRecipe) -> str:
    if recipe.snapshot:
        return f"check that the mirror has the snapshot {recipe.snapshot}: [image] snapshot and snapshot_mirror"
    return "check the network, and the mirror in /etc/apt/sources.list"
