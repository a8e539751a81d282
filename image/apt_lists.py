"""The names of the packages that a build would get from its mirror, by apt's lists (apt_root.py).

They are fetched, and their signatures checked, by `apt-get update`. What was fetched before is used as it is while it
knows all names that somebody asks for; only a name that it does not know makes it be fetched again.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from image import package_names
from image.apt_root import AptRoot, apt_root, reason
from image.command import CommandError
from image.mirrors import Mirrors
from image.package_names import UnknownPackage
from image.recipe import ImageRecipe
from image.repositories import Repository

_SECONDS = 90.0
"""How long the mirror may take."""
_SETTLED = 60.0
"""Seconds for which nobody asks the mirror again for a name that it did not know."""


@dataclass(frozen=True, slots=True)
class NamesChecked:
    """What came of a check: the names that no package has, and of when the lists are. `trouble` says why nothing can be
    said of some names, in words; empty if all were compared."""

    unknown: tuple[UnknownPackage, ...] = ()
    fetched: datetime | None = None
    trouble: str = ""


def check(recipe: ImageRecipe, added: Sequence[Repository], mirrors: Mirrors, work: Path) -> NamesChecked:
    """Compare the recipe's packages with those of its mirrors and of the administrator's repositories.

    `work` is the directory in which images are built. Never raises for a mirror that is away, nor for a directory that
    this user may not write: then the lists of before are used, if there are any.
    """
    if not recipe.packages:
        return NamesChecked()
    root = work.absolute() / "lists"
    lists = _Lists(apt_root(root, recipe, added, mirrors), work / "steps")
    try:
        with lists.locked():
            return _check(recipe.packages, lists)
    except PermissionError:
        known, fetched = lists.known()
        if known.issuperset(recipe.packages):
            return NamesChecked(fetched=fetched)
        return NamesChecked(trouble=f"{root} may only be written by root: run it with sudo")
    except OSError as error:
        return NamesChecked(trouble=f"{root} cannot be written: {error.strerror or error}")


def _check(wanted: Collection[str], lists: "_Lists") -> NamesChecked:
    known, fetched = lists.known()
    young = fetched is not None and (datetime.now(UTC) - fetched).total_seconds() < _SETTLED
    if not known.issuperset(wanted) and not young:
        try:
            lists.fetch()
        except CommandError as error:
            lists.forget()
            return NamesChecked(fetched=fetched, trouble=f"the lists could not be fetched: {reason(error)}")
        known, fetched = lists.known()
        if not known.issuperset(wanted):
            lists.forget()
    return NamesChecked(package_names.unknown(wanted, known), fetched)


class _Lists:
    """The lists of packages in a root of apt's own, and a note of the names in them."""

    def __init__(self, apt: AptRoot, steps: Path) -> None:
        """`steps` are the results of the last build, with the lists that it fetched: the mirror need not send them
        again."""
        self._apt = apt
        self._steps = steps
        self._key = hashlib.sha256(repr(sorted(apt.files.items())).encode()).hexdigest()

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Wait until no other process fetches; raises OSError."""
        root = self._apt.path
        root.mkdir(mode=0o755, parents=True, exist_ok=True)
        descriptor = os.open(root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def known(self) -> tuple[frozenset[str], datetime | None]:
        """The names in the lists that were fetched from these archives, and when that was; none if they never were."""
        try:
            with (self._apt.path / "names").open() as file:
                found = file.read().split("\n")
                when = datetime.fromtimestamp(os.fstat(file.fileno()).st_mtime, UTC)
        except (OSError, ValueError):
            return frozenset(), None
        return (frozenset(found[1:]), when) if found[0] == self._key else (frozenset(), None)

    def forget(self) -> None:
        """Fetch all of it the next time: apt would keep a list that a power cut has damaged, as long as the mirror has
        the same one."""
        shutil.rmtree(self._apt.lists, ignore_errors=True)

    def fetch(self) -> None:
        """Fetch the lists, and note the names in them. Raises OSError, CommandError."""
        root, lists = self._apt.path, self._apt.lists
        shutil.rmtree(root / "etc", ignore_errors=True)
        self._apt.write()
        if not list(lists.glob("*_Packages")):
            # The lowest layer first; for what is not there any more a layer has devices.
            for step in ("bootstrap", "packages"):
                for path in (self._steps / step / "tree/var/lib/apt/lists").glob("*_*[!n]"):  # no translations
                    if path.is_file():
                        # apt takes a file that is there for a whole one.
                        shutil.copy2(path, lists / "partial" / path.name)
                        (lists / "partial" / path.name).replace(lists / path.name)
        self._apt.run("apt-get", "update", seconds=_SECONDS)
        found = {name for path in lists.glob("*_Packages") for name in package_names.names(path.read_bytes())}
        new = root / "names.new"
        new.write_text("\n".join((self._key, *sorted(found))))
        new.replace(root / "names")
