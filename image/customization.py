"""What an administrator adds to the live system: packages, files, hooks and repositories, from a directory of theirs.

    packages        names of Debian packages, one or more a line; `#` begins a comment
    files/          what goes into the live system as it is, owned by root: files/etc/motd becomes /etc/motd
    hooks/*.chroot  scripts that run inside it, in the order of their names, once all else is in place
    repositories/   apt sources, NAME.sources or NAME.list, with their keys, NAME.asc or NAME.gpg
    preseed/*.cfg   answers to the questions of the packages

A tree of live-build is taken as it is, in `config/` or without that directory: `package-lists/*.list.chroot`,
`includes.chroot`, `hooks/{live,normal}/*.hook.chroot`, `archives/*.list.chroot` with `*.key.chroot`,
`preseed/*.cfg.chroot`. What cannot be used is an error before a build begins, and what `lb config` writes and does not
count here is a note.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from image import custom_files, preseed, repositories
from image.custom_files import Allowance, CustomFile, CustomHooks, CustomizationError, Digest
from image.package_names import UnknownPackage
from image.preseed import PreseedError
from image.recipe import is_package
from image.repositories import Repository, RepositoryError

_RECIPE = "recipe.toml"
_FILES = ("files", "includes.chroot", "includes.chroot_after_packages")
_HOOKS = ("hooks", "hooks/live", "hooks/normal")
_REPOSITORIES = ("repositories", "archives")
_LISTS = (".list", ".list.chroot", ".list.chroot_install", ".list.chroot_live")
_SOURCES = (".sources", ".sources.chroot", ".list", ".list.chroot")
_KEYS = (".asc", ".gpg", ".key", ".key.chroot")
_ANSWERS = (".cfg", ".cfg.chroot")
_READ = {*_FILES, *_REPOSITORIES, "hooks", "packages", "package-lists", "preseed"}
_WRITTEN_BY_LB = ("auto", "local", "binary", "bootstrap", "chroot", "common", "source")
_EMPTY = {
    "apt": "write repositories/; pins and settings of apt are not supported",
    "bootloaders": "the box has its own: docs/booting.md",
    "debian-installer": "nothing is installed from a live system",
    "includes": "put files into includes.chroot",
    "includes.binary": "there is no medium: put files into includes.chroot",
    "includes.bootstrap": "put files into includes.chroot",
    "includes.chroot_before_packages": "put files into includes.chroot_after_packages; answers into preseed",
    "includes.installer": "nothing is installed from a live system",
    "includes.source": "there is no medium with source code",
    "packages": "name a package in `packages`, and its repository in repositories/",
    "packages.binary": "name a package in `packages`, and its repository in repositories/",
    "packages.chroot": "name a package in `packages`, and its repository in repositories/",
    "rootfs": "what is left out of the live system is fixed; remove it in a hook",
}
"""Directories of live-build that must be empty here: and what to do instead."""
_LISTED_BY_LB = "live-boot\nlive-config\nlive-config-systemd\nsystemd-sysv\n"
_LARGEST_TEXT = 1 << 20


@dataclass(frozen=True, slots=True)
class Customization:
    """All that an administrator adds; nothing, by default. Directories come before what is in them. `answers` is a text
    for debconf. `places` says where a package is named, and `notes` what does not count, in words."""

    packages: tuple[str, ...] = ()
    files: tuple[CustomFile, ...] = ()
    hooks: tuple[CustomFile, ...] = ()
    repositories: tuple[Repository, ...] = ()
    answers: str = ""
    places: Mapping[str, str] = field(default_factory=dict, compare=False)
    notes: tuple[str, ...] = field(default=(), compare=False)

    @property
    def layer(self) -> bool:
        """Whether there are files or hooks."""
        return bool(self.files or self.hooks)

    @property
    def layer_digest(self) -> str:
        """A SHA-256 of the files and hooks; empty if there are none."""
        if not self.layer:
            return ""
        text = "".join(each.described for each in self.files) + "\0" + "".join(each.described for each in self.hooks)
        return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()

    @property
    def digest(self) -> str:
        """A SHA-256 of all but the packages, which are a part of the recipe; empty if there is nothing else."""
        if not self.repositories and not self.answers:
            return self.layer_digest
        return hashlib.sha256(f"{self.layer_digest} {self.repositories!r} {self.answers}".encode()).hexdigest()


NOTHING = Customization()


def read(directory: Path, digest: Digest = custom_files.digest) -> Customization:
    """Read a directory; one that does not exist adds nothing. Raises CustomizationError. `digest` may remember what it
    has read."""
    try:
        if not directory.exists():
            return NOTHING
        notes = tuple(_check_names(directory))
        roots, allowed = (directory, directory / "config"), Allowance(directory)
        lists = [each for root in roots for each in _package_lists(root)]
        places: dict[str, str] = {}
        for path in lists:
            for package, place in _packages(path):
                places.setdefault(package, place)
        hooks = [custom_files.read_hooks(root / name, allowed, digest) for root in roots for name in _HOOKS]
        return Customization(
            tuple(places),
            tuple(
                each
                for root in roots
                for name in _FILES
                for each in custom_files.read_files(root / name, allowed, digest)
            ),
            _sorted(hooks),
            tuple(each for root in roots for name in _REPOSITORIES for each in _repositories(root / name)),
            "".join(each for root in roots for each in _answers(root / "preseed")),
            places,
            (*notes, *(note for each in hooks for note in each.notes)),
        )
    except OSError as error:
        raise CustomizationError(
            f"cannot read {error.filename}: {error.strerror}", "it must be readable for the user who builds: sudo"
        ) from error


def stage(customization: Customization, target: Path) -> None:
    """Copy files and hooks to `target/files` and `target/hooks`, with the modes that they get in the live system.
    Raises OSError, also when a file has changed since it was read."""
    custom_files.stage(customization.files, target / "files")
    custom_files.stage(customization.hooks, target / "hooks")


def unknown_names(unknown: Iterable[UnknownPackage], places: Mapping[str, str]) -> tuple[str, str]:
    """What is wrong with names that no package has, and what to do, in words; `places` says where they stand."""
    wrong, near = [], []
    for each in unknown:
        place = f"{places[each.name]}: " if each.name in places else ""
        wrong.append(f"{place}the mirror has no package {each.name!r}")
        near += [f"did you mean {' or '.join(each.near)} in place of {each.name}?"] if each.near else []
    return "; ".join(wrong), " ".join(near) or "correct it, or add the repository that has it to repositories/"


def _check_names(directory: Path) -> Iterator[str]:
    """Yield notes on what does not count; raises CustomizationError for what is unknown or not supported."""
    config = directory / "config"
    for root in (directory, config):
        told: list[str] = []
        # The directory itself may be a link of the administrator's.
        for path in sorted(root.iterdir()) if root == directory or custom_files.is_directory(root) else ():
            # `packages` is a list, and a directory of live-build's.
            if path.name in _EMPTY and (path.is_dir() or path.name not in _READ):
                if not path.is_dir() or any(not each.name.startswith(".") for each in path.iterdir()):
                    raise CustomizationError(f"{path} is not supported", _EMPTY[path.name])
            elif path.name in _WRITTEN_BY_LB:
                told.append(path.name)
            elif not path.name.startswith(".") and path.name not in _READ and path not in (config, directory / _RECIPE):
                raise CustomizationError(
                    f"{path} is nothing that an image can be made of",
                    f"known are: {_RECIPE}, packages, files/, hooks/, repositories/, preseed/ and live-build's config/",
                )
        if told:
            yield f"{root}: {', '.join(told)}: what live-build is told here does not count; {_RECIPE} and [image] do"
        if _is_of_lb(path := root / "package-lists" / "live.list.chroot"):
            yield f"{path} is live-build's own list and is left out: the live system has what it needs"


def _is_of_lb(path: Path) -> bool:
    return path.name == "live.list.chroot" and path.is_file() and path.read_bytes() == _LISTED_BY_LB.encode()


def _package_lists(root: Path) -> Iterator[Path]:
    if (root / "packages").is_file():
        yield root / "packages"
    yield from (each for each in _named(root / "package-lists", _LISTS) if not _is_of_lb(each))


def _packages(path: Path) -> Iterator[tuple[str, str]]:
    """The packages in a list, and where each is named."""
    for number, line in enumerate(custom_files.read_text(path, _LARGEST_TEXT).splitlines(), 1):
        place = f"{path}, line {number}"
        if line.startswith(("#!", "#if", "#endif", "!")):
            raise CustomizationError(
                f"{place}: conditions, commands and scripts in a list are not supported: {line!r}", "name the packages"
            )
        for package in line.partition("#")[0].split():
            if not is_package(package):
                raise CustomizationError(f"{place}: {package!r} is not the name of a Debian package", "correct it")
            yield package, place


def _sorted(found: Iterable[CustomHooks]) -> tuple[CustomFile, ...]:
    hooks = sorted((hook for each in found for hook in each.hooks), key=lambda each: each.name)
    for one, other in pairwise(hooks):
        if one.name == other.name:
            raise CustomizationError(f"{one.source} and {other.source} have the same name", "rename one of them")
    return tuple(hooks)


def _repositories(directory: Path) -> Iterator[Repository]:
    paths = list(_named(directory, (*_SOURCES, *_KEYS)))
    keys = {path.name: custom_files.read_content(path, _LARGEST_TEXT) for path in paths if _ends(path, _KEYS)}
    unused = set(keys)
    for path in paths:
        if ending := _ends(path, _SOURCES):
            own = next((name for each in _KEYS if (name := path.name.removesuffix(ending) + each) in keys), "")
            usable = keys | ({"": keys[own]} if own else {})
            text = custom_files.read_text(path, _LARGEST_TEXT)
            try:
                found, used = repositories.parse(text, deb822=ending.startswith(".sources"), keys=usable)
            except RepositoryError as error:
                place = f"{path}, line {error.line}" if error.line else str(path)
                raise CustomizationError(f"{place}: {error}", error.hint) from error
            # Of a repository that is switched off, too.
            unused -= {*used, own}
            yield from found
    if unused:
        raise CustomizationError(
            f"{directory / min(unused)} is a key that no repository uses", "call it like the file of sources: NAME.asc"
        )


def _answers(directory: Path) -> Iterator[str]:
    for path in _named(directory, _ANSWERS):
        text = custom_files.read_text(path, _LARGEST_TEXT)
        try:
            preseed.check(text)
        except PreseedError as error:
            raise CustomizationError(f"{path}, line {error.line}: {error}", "see man debconf-set-selections") from error
        yield f"{text.rstrip()}\n"


def _named(directory: Path, endings: tuple[str, ...]) -> Iterator[Path]:
    """The files in a directory, if it is there; raises CustomizationError for one with another ending."""
    for path in sorted(directory.iterdir()) if custom_files.is_directory(directory) else ():
        if path.name.startswith("."):
            continue
        if not _ends(path, endings):
            raise CustomizationError(f"{path} is not supported there", f"names end with {', '.join(endings)}")
        yield path


def _ends(path: Path, endings: tuple[str, ...]) -> str:
    return next((each for each in endings if path.name.endswith(each)), "")
