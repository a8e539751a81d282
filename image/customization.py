"""What an administrator adds to the live system: packages, files and hooks, from a directory of theirs.

    packages        names of Debian packages, one or more a line; `#` begins a comment
    files/          what goes into the live system as it is, owned by root: files/etc/motd becomes /etc/motd
    hooks/*.chroot  scripts that run inside it, in the order of their names, once all else is in place

live-build's own names are taken, too: `package-lists/*.list.chroot`, `includes.chroot`, `hooks/live/*.hook.chroot`.
What cannot be used is an error before a build begins. Nothing outside the directory is read: links are copied as links.
"""

import hashlib
import os
import re
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from io import BufferedReader
from pathlib import Path, PurePosixPath

from image.recipe import is_package

LARGEST = 1 << 30
"""Bytes of all files; and there are at most so many: MOST."""
MOST = 20_000

_FILES = ("files", "includes.chroot", "includes.chroot_after_packages")
_HOOKS = ("hooks", "hooks/live", "hooks/normal")
_LISTS = ("packages", "package-lists")
_HOOK = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\.chroot")
_TOP = {*_FILES, "hooks", *_LISTS}


class CustomizationError(Exception):
    """A directory cannot be used; `hint` says what to do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class CustomFile:
    """A file, directory or link: `name` is its path in the live system (a hook's is its file name), `mode` its type and
    permissions, `sha256` that of a file's content, `target` where a link leads. `source` is where it is now."""

    name: str
    mode: int
    source: Path
    sha256: str = ""
    target: str = ""

    @property
    def described(self) -> str:
        """What makes it another one."""
        return f"{self.name}\0{self.mode:o}\0{self.sha256}\0{self.target}\n"


@dataclass(frozen=True, slots=True)
class Customization:
    """All that an administrator adds; nothing, by default. Directories come before what is in them."""

    packages: tuple[str, ...] = ()
    files: tuple[CustomFile, ...] = ()
    hooks: tuple[CustomFile, ...] = ()

    @property
    def layer(self) -> bool:
        """Whether there is anything beside packages."""
        return bool(self.files or self.hooks)

    @property
    def digest(self) -> str:
        """A SHA-256 of the files and hooks; empty if there are none."""
        if not self.layer:
            return ""
        text = "".join(each.described for each in self.files) + "\0" + "".join(each.described for each in self.hooks)
        return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


NOTHING = Customization()


def read(directory: Path) -> Customization:
    """Read a directory; one that does not exist adds nothing. Raises CustomizationError."""
    try:
        if not directory.exists():
            return NOTHING
        unknown = sorted({path.name for path in directory.iterdir() if not path.name.startswith(".")} - _TOP)
        if unknown:
            raise CustomizationError(
                f"{directory / unknown[0]} is nothing that an image can be made of",
                "known are: packages, files/ and hooks/",
            )
        _bound(directory)
        files = [each for name in _FILES for each in _files(directory / name)]
        hooks = sorted((each for name in _HOOKS for each in _hooks(directory / name)), key=lambda each: each.name)
        return Customization(tuple(dict.fromkeys(_packages(directory))), tuple(files), tuple(hooks))
    except OSError as error:
        raise CustomizationError(
            f"cannot read {error.filename}: {error.strerror}", "it must be readable for the user who builds: sudo"
        ) from error


def stage(customization: Customization, target: Path) -> None:
    """Copy what was read to `target/files` and `target/hooks`, with the modes it gets in the live system. Raises
    OSError, also when a file has changed since it was read."""
    for name, files in (("files", customization.files), ("hooks", customization.hooks)):
        (target / name).mkdir(mode=0o755, parents=True)
        for each in files:
            path = target / name / each.name
            if stat.S_ISDIR(each.mode):
                path.mkdir(exist_ok=True)
            elif stat.S_ISLNK(each.mode):
                path.symlink_to(each.target)
                continue
            else:
                with _open(each.source) as source, path.open("wb") as copy:
                    shutil.copyfileobj(source, copy)
                if _sha256(path) != each.sha256:
                    raise OSError(f"{each.source} was changed while the image was built")
            path.chmod(stat.S_IMODE(each.mode))


def _packages(directory: Path) -> Iterator[str]:
    lists = (directory / "packages", *sorted((directory / "package-lists").glob("*.list*")))
    for path in lists:
        if not path.is_file():
            continue
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            for package in line.partition("#")[0].split():
                if not is_package(package):
                    raise CustomizationError(
                        f"{path}, line {number}: {package!r} is not the name of a Debian package", "correct it"
                    )
                yield package


def _files(directory: Path) -> Iterator[CustomFile]:
    if directory.is_symlink() or (directory.exists() and not directory.is_dir()):
        raise CustomizationError(f"{directory} is not a directory", "make it one: links are not followed")
    for where, directories, names in os.walk(directory, onerror=_raise) if directory.exists() else ():
        directories.sort()
        for name in sorted([*directories, *names]):
            path = Path(where, name)
            inside = path.relative_to(directory)
            mode = path.lstat().st_mode
            if not name.isprintable():
                raise CustomizationError(f"{str(path)!r} has a name that cannot be printed", "rename it")
            if stat.S_ISLNK(mode):
                target = os.readlink(path)
                _check_link(path, inside, target)
                yield CustomFile(str(inside), stat.S_IFLNK | 0o777, path, target=target)
            elif stat.S_ISDIR(mode):
                yield CustomFile(str(inside), stat.S_IFDIR | stat.S_IMODE(mode) & 0o777, path)
            elif stat.S_ISREG(mode):
                yield CustomFile(str(inside), stat.S_IFREG | stat.S_IMODE(mode) & 0o777, path, _sha256(path))
            else:
                raise CustomizationError(
                    f"{path} is neither a file, a directory nor a link", "remove it: devices are made by the kernel"
                )


def _check_link(path: Path, inside: Path, target: str) -> None:
    # An absolute one leads to a place in the live system.
    depth = len(inside.parts) - 1
    for part in PurePosixPath(target).parts:
        depth += -1 if part == ".." else 1
        if depth < 0 and not target.startswith("/"):
            raise CustomizationError(
                f"{path} leads out of the live system: {target!r}", "links lead to places inside it, such as /etc/motd"
            )


def _hooks(directory: Path) -> Iterator[CustomFile]:
    if directory.is_symlink():
        raise CustomizationError(f"{directory} is not a directory", "make it one: links are not followed")
    for path in sorted(directory.iterdir()) if directory.is_dir() else []:
        if path.is_dir() and path.name in ("live", "normal") and directory.name == "hooks":
            continue
        if not _HOOK.fullmatch(path.name):
            raise CustomizationError(f"{path} is not the name of a hook", "call it NAME.chroot")
        if not stat.S_ISREG(path.lstat().st_mode):
            raise CustomizationError(f"{path} is not a file", "put the script itself there")
        with _open(path) as file:
            if file.read(2) != b"#!":
                raise CustomizationError(f"{path} is not a script", "its first line must be #!/bin/sh or the like")
        yield CustomFile(path.name, stat.S_IFREG | 0o755, path, _sha256(path))


def _bound(directory: Path) -> None:
    count = size = 0
    for where, directories, names in os.walk(directory, onerror=_raise):
        count += len(directories) + len(names)
        size += sum(os.lstat(os.path.join(where, name)).st_size for name in names)
        if size > LARGEST or count > MOST:
            raise CustomizationError(
                f"{directory} has more than {MOST} files, or more than {LARGEST / 1e6:.0f} MB in them",
                "each PC gets them at each boot: put data on a server instead",
            )


def _open(path: Path) -> BufferedReader:
    # No link, and no waiting for a pipe that took its place.
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb")


def _sha256(path: Path) -> str:
    known = path.lstat()
    return _digest(path, known.st_dev, known.st_ino, known.st_size, known.st_mtime_ns, known.st_ctime_ns)


@lru_cache(maxsize=MOST)
def _digest(path: Path, *_: int) -> str:
    # The page asks each time it shows the image.
    with _open(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _raise(error: OSError) -> None:
    raise error
