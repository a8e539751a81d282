"""The lists of packages that a build would get from its mirror, in a root of apt's own: this machine's apt is not
touched.

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

from image import command, livebuild, package_names, repositories
from image.mirrors import Mirrors
from image.package_names import UnknownPackage
from image.recipe import ImageRecipe
from image.repositories import Repository

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
"""Debian's keys: those that debootstrap takes, too."""

# It ends with whoever started it, and leaves no lock of apt's.
_MORTAL = ("setpriv", "--pdeathsig", "KILL")
_SECONDS = 90
"""How long the mirror may take."""
_SETTLED = 60.0
"""Seconds for which nobody asks the mirror again for a name that it did not know."""
_SETTINGS = """\
Dir "{root}";
Dir::State::status "{root}/status";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
APT::Architecture "amd64";
APT::Architectures {{ "amd64"; }};
Acquire::Languages "none";
Acquire::Retries "0";
Acquire::http::Timeout "10";
Acquire::https::Timeout "10";
APT::Update::Error-Mode "any";
"""
# Below a directory that is closed to others, apt's own user would find no key.
_CLOSED = 'APT::Sandbox::User "root";\n'
# The lists of a snapshot are as old as they are meant to be.
_OLD = 'Acquire::Check-Valid-Until "false";\n'
_PROXY = 'Acquire::http::Proxy "{proxy}";\n'


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
    lists = _Lists(work / "lists", work / "steps")
    files = _files(lists.root, recipe, added, mirrors)
    try:
        with lists.locked():
            return _check(recipe.packages, lists, files)
    except PermissionError:
        known, fetched = lists.known(files)
        if known.issuperset(recipe.packages):
            return NamesChecked(fetched=fetched)
        return NamesChecked(trouble=f"{lists.root} may only be written by root: run it with sudo")
    except OSError as error:
        return NamesChecked(trouble=f"{lists.root} cannot be written: {error.strerror or error}")


def _check(wanted: Collection[str], lists: "_Lists", files: dict[str, bytes]) -> NamesChecked:
    known, fetched = lists.known(files)
    young = fetched is not None and (datetime.now(UTC) - fetched).total_seconds() < _SETTLED
    if not known.issuperset(wanted) and not young:
        try:
            lists.fetch(files)
        except command.CommandError as error:
            lists.forget()
            why = next((line for line in error.tail if line.startswith(("E: ", "Err:"))), "it did not answer in time")
            return NamesChecked(fetched=fetched, trouble=f"the lists could not be fetched: {why.removeprefix('E: ')}")
        known, fetched = lists.known(files)
        if not known.issuperset(wanted):
            lists.forget()
    return NamesChecked(package_names.unknown(wanted, known), fetched)


class _Lists:
    """A root of apt's own, with nothing but sources, keys and the lists fetched from them."""

    def __init__(self, root: Path, steps: Path) -> None:
        """`steps` are the results of the last build, with the lists that it fetched: the mirror need not send them
        again."""
        self.root = root
        self._steps = steps
        self._state = root / "var/lib/apt/lists"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Wait until no other process fetches; raises OSError."""
        self.root.mkdir(mode=0o755, parents=True, exist_ok=True)
        descriptor = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def known(self, files: dict[str, bytes]) -> tuple[frozenset[str], datetime | None]:
        """The names in the lists that were fetched with these files, and when that was; none if they never were."""
        try:
            with (self.root / "names").open() as file:
                found = file.read().split("\n")
                when = datetime.fromtimestamp(os.fstat(file.fileno()).st_mtime, UTC)
        except (OSError, ValueError):
            return frozenset(), None
        return (frozenset(found[1:]), when) if found[0] == _key(files) else (frozenset(), None)

    def forget(self) -> None:
        """Fetch all of it the next time: apt would keep a list that a power cut has damaged, as long as the mirror has
        the same one."""
        shutil.rmtree(self._state, ignore_errors=True)

    def fetch(self, files: dict[str, bytes]) -> None:
        """Fetch the lists, and note the names in them. Raises OSError, CommandError."""
        shutil.rmtree(self.root / "etc", ignore_errors=True)
        state = self._state
        for directory in (self.root / "var/cache/apt/archives/partial", state / "partial"):
            directory.mkdir(parents=True, exist_ok=True)
        (self.root / "status").touch()
        # A proxy may have a password in its address.
        (self.root / "apt.conf").touch(mode=0o600)
        for name, content in files.items():
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            (self.root / name).write_bytes(content)
        # The user _apt reads it, whatever the umask.
        for path in (self.root, *(self.root / "etc").rglob("*"), self.root / "etc"):
            path.chmod(0o755 if path.is_dir() else 0o644)
        if not list(state.glob("*_Packages")):
            # The lowest layer first; for what is not there any more a layer has devices.
            for step in ("bootstrap", "packages"):
                for path in (self._steps / step / "tree/var/lib/apt/lists").glob("*_*[!n]"):  # no translations
                    if path.is_file():
                        # apt takes a file that is there for a whole one.
                        shutil.copy2(path, state / "partial" / path.name)
                        (state / "partial" / path.name).replace(state / path.name)
        variables = {"APT_CONFIG": str(self.root / "apt.conf")}
        command.output((*_MORTAL, "timeout", str(_SECONDS), *_MORTAL, "apt-get", "update"), variables=variables)
        found = {name for path in state.glob("*_Packages") for name in package_names.names(path.read_bytes())}
        new = self.root / "names.new"
        new.write_text("\n".join((_key(files), *sorted(found))))
        new.replace(self.root / "names")


def _files(root: Path, recipe: ImageRecipe, added: Sequence[Repository], mirrors: Mirrors) -> dict[str, bytes]:
    """What apt reads below its root: whatever else it is told makes other lists of them."""
    suites = [(mirrors.archive, recipe.distribution), (mirrors.security, f"{recipe.distribution}-security")]
    suites += [(mirrors.archive, f"{recipe.distribution}-updates")] if mirrors.updates else []
    suites += [(mirrors.archive, f"{recipe.distribution}-backports")] if recipe.backports else []
    areas = livebuild.archive_areas(recipe)
    stanza = "Types: deb\nURIs: {}\nSuites: {}\nComponents: {}\nSigned-By: {}\n"
    debians = "\n".join(stanza.format(uri, suite, areas, KEYRING) for uri, suite in suites)
    keyrings = root / "etc/apt/keyrings"
    sources = "etc/apt/sources.list.d"
    settings = _SETTINGS.format(root=root) + (_PROXY.format(proxy=mirrors.proxy) if mirrors.proxy else "")
    settings += ("" if _open_to_all(root) else _CLOSED) + (_OLD if recipe.snapshot else "")
    own = repositories.apt_files(added, recipe.distribution, str(keyrings))
    return {
        "apt.conf": settings.encode(),
        f"{sources}/debian.sources": debians.encode(),
        **{f"{'etc/apt/keyrings' if name.endswith('.gpg') else sources}/{name}": text for name, text in own.items()},
    }


def _open_to_all(path: Path) -> bool:
    return all(each.stat().st_mode & 0o001 for each in path.absolute().parents if each.exists())


def _key(files: dict[str, bytes]) -> str:
    return hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()
