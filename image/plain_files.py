"""The door of image/ to files that must be whole: read with a bound, written so that they survive a power cut.

services/linux/atomic_file.py does the like for the rest of the box: image/ does not import services/, and these few
lines are not worth passing in.
"""

import os
import stat
from pathlib import Path
from typing import IO


def opened(path: Path) -> IO[bytes]:
    """Open a regular file for reading; raises OSError, and ValueError if it is another kind of file."""
    # It must not block if it is a pipe: the server reads some of them several times a second.
    file = open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")  # noqa: SIM115 - the caller closes it
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise ValueError("it is not a regular file")
    return file


def read(path: Path, largest: int) -> bytes:
    """Return the content of a regular file; raises OSError, and ValueError if it is larger or no such file."""
    with opened(path) as file:
        content = file.read(largest + 1)
    if len(content) > largest:
        raise ValueError("it is too large")
    return content


def write(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Write a file, or replace it in one step, with exactly this mode; its directory must be the caller's alone to
    write. Raises OSError."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    try:
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def settle(path: Path) -> None:
    """Let everybody read a file, whatever the umask it was made with, and have it on the disk. Raises OSError."""
    path.chmod(0o644)
    with path.open("rb") as file:
        os.fsync(file.fileno())


def settle_directories(path: Path) -> None:
    """The same for a directory, and the directories directly in it. Raises OSError."""
    for directory in (*(each for each in path.iterdir() if each.is_dir()), path):
        directory.chmod(0o755)
        sync_directory(directory)


def sync_directory(path: Path) -> None:
    """Make the names in a directory survive a power cut. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
