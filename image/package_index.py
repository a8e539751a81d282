"""Asks the current indices of the archive, and of the administrator's repositories, which packages of a live system
have a newer version. Changes nothing.

apt does it, in a directory of its own that is deleted afterwards: neither this machine's sources nor its lists of
packages are touched, and no root is needed. It accepts only what Debian's keys sign, and of each repository only what
its own keys sign. `image.updates` reads its answer.
"""

import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from image import apt, command, livebuild, repositories, updates
from image.command import CommandError
from image.progress import BuildError
from image.recipe import ImageRecipe
from image.repositories import Repository
from image.updates import PackageUpdate

SECONDS = 180.0
"""How long the indices may take, about 10 MB. A mirror that is away costs a few connections of 15 s."""

_KEYRINGS = tuple(Path(f"/usr/share/keyrings/debian-archive-keyring.{kind}") for kind in ("pgp", "gpg"))
_LONGEST_REASON = 300
_OWN = "own"
"""The directory with the administrator's repositories, and their keys."""
_PASSWORD = re.compile(r"//[^/@\s]*@")


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
    keyring = next((str(path) for path in _KEYRINGS if path.exists()), "")
    listed = updates.sources(recipe, mirrors, livebuild.archive_areas(recipe), keyring)
    try:
        with tempfile.TemporaryDirectory(prefix="netboot-appliance-check-") as directory:
            root = Path(directory)
            _furnish(root, listed, updates.status(packages, recipe.architecture), livebuild.preferences(recipe))
            for name, content in repositories.apt_files(added, recipe.distribution, str(root / _OWN)).items():
                (root / _OWN / name).write_bytes(content)
                # apt's user reads the keys, whatever the umask.
                (root / _OWN / name).chmod(0o644)
            options = _options(root, recipe, mirrors.proxy)
            command.output(("apt-get", *options, "update"), seconds=seconds)
            names = (each.removesuffix(f":{recipe.architecture}") for each in packages)
            policy = command.output(("apt-cache", *options, "policy", *names), seconds=seconds)
    except CommandError as error:
        raise PackageIndexError(
            f"the archive's indices cannot be had: {_reason(error)}",
            "check the network, and the mirror in /etc/apt/sources.list; then try again",
        ) from error
    except OSError as error:
        raise PackageIndexError(
            f"the archive's indices cannot be kept: {error.strerror or error}",
            "apt must be installed, and have 100 MB in the directory for temporary files",
        ) from error
    return updates.parse(policy, packages, recipe.architecture)


def _furnish(root: Path, sources: str, status: str, preferences: str) -> None:
    for directory in ("lists/partial", "cache/archives/partial", "parts", _OWN):
        (root / directory).mkdir(parents=True)
    for name, text in (("sources.list", sources), ("status", status), ("preferences", preferences)):
        (root / name).write_text(text)
    # Run by root, apt fetches as a user of its own.
    root.chmod(0o755)
    (root / _OWN).chmod(0o755)


def _options(root: Path, recipe: ImageRecipe, proxy: str) -> tuple[str, ...]:
    values = {
        "Dir::Etc::sourcelist": root / "sources.list",
        "Dir::Etc::sourceparts": root / _OWN,
        "Dir::Etc::preferences": root / "preferences",
        "Dir::Etc::preferencesparts": root / "parts",
        "Dir::State": root,
        "Dir::State::lists": root / "lists",
        "Dir::State::status": root / "status",
        "Dir::Cache": root / "cache",
        "APT::Architecture": recipe.architecture,
        "APT::Architectures": recipe.architecture,
        "APT::Update::Error-Mode": "any",
        "Acquire::Languages": "none",
        # The lists of a snapshot are as old as they are meant to be.
        **({"Acquire::Check-Valid-Until": "false"} if recipe.snapshot else {}),
        "Acquire::GzipIndexes": "true",
        "Acquire::Retries": 1,
        "Acquire::http::Timeout": 15,
        "Acquire::https::Timeout": 15,
        **({"Acquire::http::Proxy": proxy} if proxy else {}),
    }
    return tuple(part for name, value in values.items() for part in ("-o", f"{name}={value}"))


def _reason(error: CommandError) -> str:
    said = [line for line in error.tail if line.startswith(("E: ", "Err:"))] or list(error.tail)
    return _PASSWORD.sub("//", said[0])[:_LONGEST_REASON] if said else str(error)
