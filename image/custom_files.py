"""Files and hooks that an administrator adds to the live system: read with what identifies them, and copied.

Nothing outside the directory is read: links are copied as links. What cannot be used is an error.
"""

import hashlib
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from io import BufferedReader
from pathlib import Path, PurePosixPath

LARGEST = 1 << 30
"""Bytes of all files; and there are at most so many: MOST."""
MOST = 20_000

_HOOK = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\.chroot")
_LIVE_BUILDS_HOOKS = "/usr/share/live/build/hooks/"


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


Digest = Callable[[Path, os.stat_result], str]
"""Returns the SHA-256 of the file at a path, which has this status; raises OSError."""


def digest(path: Path, status: os.stat_result) -> str:
    """The SHA-256 of a file; raises OSError. This process remembers it while nothing changes the file."""
    return _digest(path, *identity(status))


def identity(status: os.stat_result) -> tuple[int, int, int, int, int]:
    """What changes when a file's content does."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


@dataclass(slots=True)
class Allowance:
    """How much may still be read of one directory, of how many files and bytes: `directory` is for messages."""

    directory: Path
    files: int = MOST
    bytes: int = LARGEST

    def take(self, size: int) -> None:
        """Count a file; raises CustomizationError when it is too much."""
        self.files, self.bytes = self.files - 1, self.bytes - size
        if self.files < 0 or self.bytes < 0:
            raise CustomizationError(
                f"{self.directory} has more than {MOST} files, or more than {LARGEST / 1e6:.0f} MB in them",
                "each PC gets them at each boot: put data on a server instead",
            )


@dataclass(frozen=True, slots=True)
class CustomHooks:
    """The hooks of a directory; `notes` are about what is left out on purpose."""

    hooks: tuple[CustomFile, ...] = ()
    notes: tuple[str, ...] = ()


def read_files(directory: Path, allowed: Allowance, digest: Digest) -> Iterator[CustomFile]:
    """Read a directory of files, if it is there: directories before what is in them. Raises CustomizationError,
    OSError."""
    if not is_directory(directory):
        return
    above = len(directory.parts)
    pending = [directory]
    while pending:
        where = pending.pop()
        inside = "/".join(where.parts[above:])
        with os.scandir(where) as scanned:
            entries = sorted(scanned, key=lambda each: each.name)
        below = []
        for entry in entries:
            status = entry.stat(follow_symlinks=False)
            allowed.take(status.st_size if stat.S_ISREG(status.st_mode) else 0)
            read = _file(where / entry.name, f"{inside}/{entry.name}" if inside else entry.name, status, digest)
            if stat.S_ISDIR(status.st_mode):
                below.append(read.source)
            yield read
        pending += reversed(below)


def read_hooks(directory: Path, allowed: Allowance, digest: Digest) -> CustomHooks:
    """Read a directory of hooks, if it is there. Raises CustomizationError, OSError."""
    hooks, left_out = [], 0
    for path in sorted(directory.iterdir()) if is_directory(directory) else []:
        if path.name.startswith(".") or (
            path.name in ("live", "normal") and directory.name == "hooks" and path.is_dir()
        ):
            continue
        if path.is_symlink() and os.readlink(path).startswith(_LIVE_BUILDS_HOOKS):
            left_out += 1
            continue
        if not _HOOK.fullmatch(path.name):
            raise CustomizationError(f"{path} is not the name of a hook", "call it NAME.chroot")
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            raise CustomizationError(f"{path} is not a file", "put the script itself there")
        allowed.take(status.st_size)
        with _open(path) as file:
            if file.read(2) != b"#!":
                raise CustomizationError(f"{path} is not a script", "its first line must be #!/bin/sh or the like")
        hooks.append(CustomFile(path.name, stat.S_IFREG | 0o755, path, digest(path, status)))
    note = f"{directory}: links to live-build's own hooks, {left_out}, are left out: these run in each build"
    return CustomHooks(tuple(hooks), (note,) if left_out else ())


def stage(files: Iterable[CustomFile], target: Path) -> None:
    """Copy files into a new directory, with the modes that they get in the live system. Raises OSError, also when a
    file has changed since it was read."""
    target.mkdir(mode=0o755, parents=True)
    for each in files:
        path = target / each.name
        if stat.S_ISDIR(each.mode):
            path.mkdir(exist_ok=True)
        elif stat.S_ISLNK(each.mode):
            path.symlink_to(each.target)
            continue
        else:
            with _open(each.source) as source, path.open("wb") as copy:
                shutil.copyfileobj(source, copy)
            with path.open("rb") as copied:
                if hashlib.file_digest(copied, "sha256").hexdigest() != each.sha256:
                    raise OSError(f"{each.source} was changed while the image was built")
        path.chmod(stat.S_IMODE(each.mode))


def read_text(path: Path, largest: int) -> str:
    """The text of a small file of the administrator; raises CustomizationError, OSError."""
    try:
        content = read_content(path, largest)
        return content.decode()
    except UnicodeDecodeError as error:
        raise CustomizationError(f"{path} is not UTF-8 text", f"see what it is: file {path}") from error


def read_content(path: Path, largest: int) -> bytes:
    """The content of a small file of the administrator; raises CustomizationError, OSError."""
    if not stat.S_ISREG(path.lstat().st_mode):
        raise CustomizationError(f"{path} is not a file", "put the file itself there: links are not followed")
    with _open(path) as file:
        content = file.read(largest + 1)
    if len(content) > largest:
        raise CustomizationError(f"{path} has more than {largest:,} bytes", "this cannot be meant: see what it is")
    return content


def _file(path: Path, name: str, status: os.stat_result, digest: Digest) -> CustomFile:
    mode = status.st_mode
    if not path.name.isprintable():
        raise CustomizationError(f"{str(path)!r} has a name that cannot be printed", "rename it")
    if stat.S_ISLNK(mode):
        target = os.readlink(path)
        _check_link(path, name, target)
        return CustomFile(name, stat.S_IFLNK | 0o777, path, target=target)
    if stat.S_ISDIR(mode):
        return CustomFile(name, stat.S_IFDIR | stat.S_IMODE(mode) & 0o777, path)
    if stat.S_ISREG(mode):
        return CustomFile(name, stat.S_IFREG | stat.S_IMODE(mode) & 0o777, path, digest(path, status))
    raise CustomizationError(
        f"{path} is neither a file, a directory nor a link", "remove it: devices are made by the kernel"
    )


def _check_link(path: Path, name: str, target: str) -> None:
    # An absolute one leads to a place in the live system.
    depth = name.count("/")
    for part in PurePosixPath(target).parts:
        depth += -1 if part == ".." else 1
        if depth < 0 and not target.startswith("/"):
            raise CustomizationError(
                f"{path} leads out of the live system: {target!r}", "links lead to places inside it, such as /etc/motd"
            )


def is_directory(path: Path) -> bool:
    """Whether a directory is there; raises CustomizationError for anything else in its place."""
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        raise CustomizationError(f"{path} is not a directory", "make it one: links are not followed")
    return path.exists()


def _open(path: Path) -> BufferedReader:
    # No link, and no waiting for a pipe that took its place.
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb")


@lru_cache(maxsize=MOST)
def _digest(path: Path, *_: int) -> str:
    # The page asks each time it shows the image.
    with _open(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
