"""Opening a file below a directory by a path that a stranger chose.

Every component is opened relative to the one before and without following symbolic links, so nothing leads out of the
directory, not even a link that appears between a check and the opening. It does not parse names: each protocol does.
"""

import errno
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from services.decision import Ignore, Reason

_WALK = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # NONBLOCK: opening a FIFO must not wait
_EXHAUSTED = {errno.EMFILE, errno.ENFILE}
_MISSING = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ENXIO}


class FileChanged(OSError):  # noqa: N818 - an event of the file system, said in its words
    """The file was written to, or became shorter, since it was opened."""


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A regular file, open for reading as `fd` until `close`; it stays readable when another file takes its name."""

    fd: int
    size: int
    modified_ns: int

    def close(self) -> None:
        """Close the descriptor; call this once."""
        os.close(self.fd)


def open_beneath(root: Path, parts: Sequence[str]) -> OpenFile | Ignore:
    """Open the regular file `parts` below `root` (itself perhaps a link); raises nothing, whatever `parts` says."""
    if any(part in ("", ".", "..") or "/" in part or "\0" in part for part in parts):
        return Ignore(Reason.OUTSIDE_ROOT)
    if not parts:
        return Ignore(Reason.NO_FILE)
    directory = -1
    try:
        directory = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        for part in parts[:-1]:
            above, directory = directory, _enter(part, directory)
            os.close(above)
        fd = os.open(parts[-1], _READ, dir_fd=directory)
    except OSError as error:
        return Ignore(_reason(error))
    except UnicodeEncodeError:  # a lone surrogate, which no file name contains
        return Ignore(Reason.NO_FILE)
    finally:
        if directory >= 0:
            os.close(directory)
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        os.close(fd)
        return Ignore(Reason.NO_FILE)
    return OpenFile(fd, status.st_size, status.st_mtime_ns)


def _enter(part: str, directory: int) -> int:
    try:
        return os.open(part, _WALK, dir_fd=directory)
    except NotADirectoryError as error:
        # The kernel says ENOTDIR for a link as well; the log should tell a link from a file.
        if stat.S_ISLNK(os.stat(part, dir_fd=directory, follow_symlinks=False).st_mode):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), part) from error
        raise


def _reason(error: OSError) -> Reason:
    if error.errno == errno.ELOOP:
        return Reason.OUTSIDE_ROOT
    if error.errno in _EXHAUSTED:
        return Reason.TOO_MANY
    return Reason.NO_FILE if error.errno in _MISSING else Reason.UNREADABLE
