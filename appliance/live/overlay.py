"""One overlay directory: its files for the root of a live system, and its hooks.

    NAME/files/etc/motd      becomes /etc/motd; modes are kept, root owns everything
    NAME/hooks/10-mount      an executable, run once at each boot

It is read as a whole or not at all. Links are copied, never followed: no file from elsewhere on this server gets to a
PC.
"""

import errno
import hashlib
import os
import posixpath
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from appliance.config.file import SERVICE_GROUP
from appliance.errors import UserError
from appliance.live.archive import HOOKS, RootFile
from services.foreign_text import printable

LARGEST = 16 << 20
"""Bytes of all files of one overlay: each PC that boots holds them in its memory."""
MOST_FILES = 4096
MOST_HOOKS = 32
LONGEST_PATH = 250
"""Bytes."""

_HOOK = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HIDDEN = ("dev", "proc", "run", "sys", "tmp")
_SPECIAL = {
    stat.S_IFBLK: "a device",
    stat.S_IFCHR: "a device",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
}


class OverlayChangedError(Exception):
    """The overlay was changed while it was read."""


@dataclass(frozen=True, slots=True)
class Overlay:
    """What a PC gets of an overlay: files by their paths below its root, hooks included. `mark` changes with whatever
    changes in the directory."""

    files: dict[str, RootFile]
    mark: str

    @property
    def hooks(self) -> tuple[str, ...]:
        """The names of the hooks, in the order in which they run."""
        return tuple(sorted(path.removeprefix(f"{HOOKS}/") for path in self.files if path.startswith(f"{HOOKS}/")))


def mark(directory: Path) -> str:
    """What `Overlay.mark` would be now, without reading any file; empty if there is no such directory. Raises UserError
    for what cannot be an overlay."""
    return _mark(_entries(directory))


def read(directory: Path) -> Overlay:
    """Read the overlay; one that does not exist has no files. Raises UserError, and OverlayChangedError."""
    entries = _entries(directory)
    files: dict[str, RootFile] = {}
    left = LARGEST
    for path, status in entries:
        kind, _, below = path.partition("/")
        if below:
            file = _file(directory, path, status)
            files[below if kind == "files" else f"{HOOKS}/{below}"] = file
            left -= len(file.content)
            if left < 0:
                raise UserError(
                    f"{directory}: has more than {LARGEST >> 20} MiB of files",
                    "put large files into the image, or let a hook fetch them",
                )
    before = _mark(entries)
    if before != mark(directory):
        raise OverlayChangedError
    return Overlay(files, before)


def _mark(entries: list[tuple[str, os.stat_result]]) -> str:
    if not entries:
        return ""
    digest = hashlib.sha256()
    for path, status in entries:
        # A file that is changed in place has another time; one that takes its place has another number.
        values = (status.st_mode, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
        digest.update(f"{path}\0{values}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _entries(directory: Path) -> list[tuple[str, os.stat_result]]:
    """All that is in the directory, by path, sorted so that directories come before what is in them."""
    found: list[tuple[str, os.stat_result]] = []
    size = 0
    with suppress(FileNotFoundError):
        for path, status in _walk(directory, ""):
            _check(directory, path, status)
            found.append((path, status))
            size += status.st_size if stat.S_ISREG(status.st_mode) else 0
            if len(found) > MOST_FILES or size > LARGEST:
                raise UserError(
                    f"{directory}: has more than {MOST_FILES:,} files, or {LARGEST >> 20} MiB",
                    "put large files into the image, or let a hook fetch them",
                )
    if sum(path.startswith("hooks/") for path, _ in found) > MOST_HOOKS:
        raise UserError(f"{directory}/hooks: has more than {MOST_HOOKS} hooks", "let one of them run the others")
    return found


def _walk(directory: Path, below: str) -> Iterator[tuple[str, os.stat_result]]:
    try:
        with os.scandir(directory / below) as entries:
            found = sorted((entry.name, entry.stat(follow_symlinks=False)) for entry in entries)
    except FileNotFoundError:
        # The directory itself, or one that has just been removed: the next look sees that.
        return
    except OSError as error:
        raise _unreadable(directory / below, error) from None
    for name, status in found:
        path = f"{below}/{name}" if below else name
        yield path, status
        if stat.S_ISDIR(status.st_mode):
            yield from _walk(directory, path)


def _check(directory: Path, path: str, status: os.stat_result) -> None:
    """Raise UserError for what no PC can get."""
    shown = printable(f"{directory}/{path}")
    kind, _, below = path.partition("/")
    if printable(path) != path or len(path.encode(errors="surrogateescape")) > LONGEST_PATH:
        raise UserError(f"{shown}: such a name cannot be copied", f"{LONGEST_PATH} printable characters at most")
    if kind not in ("files", "hooks"):
        raise UserError(f"{shown}: is neither in files nor in hooks", "files/etc/motd becomes /etc/motd of the PC")
    if not below:
        if not stat.S_ISDIR(status.st_mode):
            raise UserError(f"{shown}: is not a directory", "make it one, or remove it")
        return
    if special := _SPECIAL.get(stat.S_IFMT(status.st_mode)):
        raise UserError(f"{shown}: is {special}", "remove it; only files, directories and links are copied")
    if stat.S_ISREG(status.st_mode) and status.st_mode & 0o6000:
        raise UserError(
            f"{shown}: gives its user the rights of another one (set-user-ID or set-group-ID)",
            f"chmod ug-s {shown}; science applications could run it",
        )
    if kind == "hooks":
        _check_hook(shown, below, status)
    elif below == "etc/hostname":
        raise UserError(f"{shown}: two PCs would have one name", "remove it, and write [live] host_name")
    elif below.split("/")[0] in _HIDDEN:
        raise UserError(f"{shown}: would not be seen: each PC has a file system of its own there", "remove it")


def _check_hook(shown: str, name: str, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode) or not _HOOK.fullmatch(name):
        raise UserError(
            f"{shown}: is not a hook", "a hook is a file; its name has letters, digits, and . _ - but not at the start"
        )
    if not status.st_mode & 0o100:
        raise UserError(f"{shown}: cannot be run", f"chmod +x {shown}")


def _file(directory: Path, path: str, status: os.stat_result) -> RootFile:
    whole, mode = directory / path, stat.S_IMODE(status.st_mode)
    modified = int(status.st_mtime)
    try:
        if stat.S_ISDIR(status.st_mode):
            return RootFile(mode=mode & 0o1777, directory=True, modified=modified)
        if stat.S_ISLNK(status.st_mode):
            return RootFile(mode=0o777, link=_target(directory, path, str(whole.readlink())), modified=modified)
        fd = os.open(whole, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(fd, "rb") as file:
            opened = os.fstat(fd)
            if (opened.st_ino, opened.st_size) != (status.st_ino, status.st_size):
                raise OverlayChangedError
            return RootFile(file.read(LARGEST + 1), mode, modified=modified)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ELOOP):
            raise OverlayChangedError from None
        raise _unreadable(whole, error) from None


def _target(directory: Path, path: str, target: str) -> str:
    """Where a link leads. An absolute one leads to a file of the PC."""
    inside = path.partition("/")[2]
    reached = posixpath.normpath(posixpath.join(posixpath.dirname(inside), target))
    if printable(target) != target or reached.split("/")[0] == "..":
        raise UserError(
            f"{printable(f'{directory}/{path}')}: leads out of the overlay, to {printable(target)}",
            "links may lead to files of the PC: write such a path from / on",
        )
    return target


def _unreadable(path: Path, error: OSError) -> UserError:
    shown = printable(str(path))
    return UserError(
        f"{shown}: cannot be read: {error.strerror}",
        f"the service has to: chgrp -R {SERVICE_GROUP} {shown}; chmod -R g+rX {shown}",
    )
