"""The one door for files that others read: a reader sees the old content or the new, never part of either.

The new content goes to a file beside the target and takes its place in one step. A process that is killed on the way
leaves that file behind, and the target as it was. What belongs to another user is appliance.registry.file_owner's.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO


@contextlib.contextmanager
def new_file(target: Path, *, mode: int, replace: bool = True, durable: bool = True) -> Iterator[IO[bytes]]:
    """A file to write; at the end of the block it is `target`. If the block raises, `target` stays as it was.

    The file's name is that of the unfinished one. Nobody but its owner can open it before it has its place and its
    `mode`. `replace` False: raises FileExistsError
    where `target` exists by then. `durable`: it is on the disk at the end, name and content. Raises OSError.
    """
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    os.close(descriptor)
    unfinished = Path(name)
    try:
        with unfinished.open("wb") as file:
            yield file
            file.flush()
            os.fchmod(file.fileno(), mode)
            if durable:
                os.fsync(file.fileno())
        if replace:
            unfinished.replace(target)
        else:
            target.hardlink_to(unfinished)
    finally:
        unfinished.unlink(missing_ok=True)
    if durable:
        sync_directory(target.parent)


def write(target: Path, content: bytes, *, mode: int = 0o644, durable: bool = True) -> None:
    """Put `content` in the place of `target`; like `new_file`."""
    with new_file(target, mode=mode, durable=durable) as file:
        file.write(content)


def sync_directory(directory: Path) -> None:
    """Wait until the names in a directory are on the disk; raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
