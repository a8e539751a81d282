"""A root of apt's own: what apt is asked for an image without touching this machine's apt, its sources and its lists.

It has the archives that an image of a recipe is made from, and the administrator's repositories; each of them is
believed only for its own keys. Knows nothing of what the lists say.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from image import command, livebuild, repositories
from image.command import CommandError
from image.mirrors import Mirrors
from image.recipe import ImageRecipe
from image.repositories import Repository

_KEYRINGS = tuple(Path(f"/usr/share/keyrings/debian-archive-keyring.{kind}") for kind in ("pgp", "gpg"))
# It ends with whoever started it, and leaves no lock of apt's.
_MORTAL = ("setpriv", "--pdeathsig", "KILL")
_SETTINGS = """\
Dir "{root}";
Dir::State::status "{root}/status";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
APT::Architecture "{architecture}";
APT::Architectures {{ "{architecture}"; }};
Acquire::Languages "none";
Acquire::Retries "1";
Acquire::http::Timeout "10";
Acquire::https::Timeout "10";
APT::Update::Error-Mode "any";
"""
# Below a directory that is closed to others, apt's own user would find no key.
_CLOSED = 'APT::Sandbox::User "root";\n'
# The lists of a snapshot are as old as they are meant to be.
_OLD = 'Acquire::Check-Valid-Until "false";\n'
_PROXY = 'Acquire::http::Proxy "{proxy}";\n'
_STANZA = "Types: deb\nURIs: {}\nSuites: {}\nComponents: {}\nArchitectures: {}\nSigned-By: {}\n"
_SOURCES, _KEYS = "etc/apt/sources.list.d", "etc/apt/keyrings"
_LONGEST_REASON = 300
_PASSWORD = re.compile(r"//[^/@\s]*@")


@dataclass(frozen=True, slots=True)
class AptRoot:
    """A directory, and what is in it: `files` by their paths below it. With other files apt makes other lists."""

    path: Path
    files: dict[str, bytes]

    @property
    def lists(self) -> Path:
        """The directory with what apt has fetched."""
        return self.path / "var/lib/apt/lists"

    def write(self) -> None:
        """Make the directory ready for apt; lists that are there stay. Raises OSError."""
        for directory in (self.path / "var/cache/apt/archives/partial", self.lists / "partial"):
            directory.mkdir(parents=True, exist_ok=True)
        # A proxy may have a password in its address.
        (self.path / "apt.conf").touch(mode=0o600)
        for name, content in self.files.items():
            (self.path / name).parent.mkdir(parents=True, exist_ok=True)
            (self.path / name).write_bytes(content)
        # The user _apt reads it, whatever the umask.
        for path in (self.path, self.path / "etc", *(self.path / "etc").rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)

    def run(self, *arguments: str, seconds: float) -> str:
        """Return what a program of apt's prints; raises CommandError, also when it takes longer, and OSError."""
        variables = {"APT_CONFIG": str(self.path / "apt.conf")}
        return command.output((*_MORTAL, *arguments), variables=variables, seconds=seconds)


def apt_root(
    path: Path, recipe: ImageRecipe, added: Sequence[Repository], mirrors: Mirrors, status: str = ""
) -> AptRoot:
    """The root of apt for an image of this recipe, at an absolute path; writes nothing yet. `status` is the text of
    dpkg's status file, with what is installed."""
    own = repositories.apt_files(added, recipe.distribution, str(path / _KEYS))
    return AptRoot(
        path,
        {
            "apt.conf": _settings(path, recipe, mirrors.proxy).encode(),
            "status": status.encode(),
            "etc/apt/preferences": livebuild.preferences(recipe).encode(),
            f"{_SOURCES}/debian.sources": sources(recipe, mirrors, _keyring()).encode(),
            **{f"{_KEYS if name.endswith('.gpg') else _SOURCES}/{name}": text for name, text in own.items()},
        },
    )


def sources(recipe: ImageRecipe, mirrors: Mirrors, keyring: Path) -> str:
    """The text of a deb822 file with Debian's archives that an image of this recipe is made from."""
    name = recipe.distribution
    suites = [
        (mirrors.archive, name),
        *([(mirrors.archive, f"{name}-updates")] if mirrors.updates else []),
        *([(mirrors.archive, f"{name}-backports")] if recipe.backports else []),
        (mirrors.security, f"{name}-security"),
    ]
    about = livebuild.archive_areas(recipe), recipe.architecture, keyring
    return "\n".join(_STANZA.format(uri, suite, *about) for uri, suite in suites)


def reason(error: CommandError) -> str:
    """Why apt failed, in its own words, without passwords."""
    said = [line for line in error.tail if line.startswith(("E: ", "Err:"))] or list(error.tail)
    return _PASSWORD.sub("//", said[0].removeprefix("E: "))[:_LONGEST_REASON] if said else str(error)


def _settings(path: Path, recipe: ImageRecipe, proxy: str) -> str:
    settings = _SETTINGS.format(root=path, architecture=recipe.architecture)
    settings += _PROXY.format(proxy=proxy) if proxy else ""
    return settings + ("" if _open_to_all(path) else _CLOSED) + (_OLD if recipe.snapshot else "")


def _keyring() -> Path:
    """Debian's keys: those that debootstrap takes, too. If there are none, apt believes no archive."""
    return next((path for path in _KEYRINGS if path.exists()), _KEYRINGS[-1])


def _open_to_all(path: Path) -> bool:
    return all(each.stat().st_mode & 0o001 for each in path.parents if each.exists())
