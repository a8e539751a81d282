"""Reads a file that a process without root's trust wrote into a directory of its own. For programs that run as root.

The owner of the directory can put anything there, even while it is read.
"""

import contextlib
import os
import stat
from pathlib import Path

_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # NONBLOCK: opening a FIFO must not wait


class ForeignFileError(Exception):
    """It is not what an honest process writes; the text says why."""


def read(path: Path, largest: int) -> bytes | None:
    """The content, None if there is no file; raises ForeignFileError unless its directory's owner made it.

    Follows no link, never waits, and reads a limited size, once: what the writer does to the file afterwards changes
    nothing. Checking the owner keeps out hard links to other users' files.
    """
    with contextlib.ExitStack() as opened:
        try:
            directory = os.open(path.parent, _DIRECTORY)
            opened.callback(os.close, directory)
            descriptor = os.open(path.name, _READ, dir_fd=directory)
            opened.callback(os.close, descriptor)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ForeignFileError(f"{path}: {error.strerror or error}") from error
        owner, status = os.fstat(directory).st_uid, os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ForeignFileError(f"{path} is not a regular file")
        if status.st_uid != owner:
            raise ForeignFileError(f"{path} belongs to user {status.st_uid}, its directory to {owner}")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(largest + 1)
    if len(content) > largest:
        raise ForeignFileError(f"{path} is longer than {largest} bytes")
    return content
