"""Writes files that others read, each in one step: a reader sees the old content or the new, never part of either.

The new content goes to a file beside the target, which then replaces it. A process that is killed meanwhile
leaves that file behind, and the target as it was. appliance.registry.file_owner deals with files of another user.
"""

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO


@contextlib.contextmanager
def new_file(target: Path, *, mode: int, replace: bool = True, durable: bool = True) -> Iterator[IO[bytes]]:
    """A file to write; at the end of the block it becomes `target`. If the block raises, `target` stays as it was.

    `.name` of the file is its temporary name. Until it is in place with its `mode`, only its owner can open it. With
    `replace` False, raises FileExistsError if `target` exists by then. `durable`: its name and content are on the disk
    at the end. Raises OSError.
    """
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    unfinished = Path(name)
    try:
        # By the descriptor: root may write into a user's directory, who may put a link in the place of the name.
        with open(name, "wb", opener=lambda *_: descriptor) as file:
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
    """Replace the content of `target`, like `new_file`."""
    with new_file(target, mode=mode, durable=durable) as file:
        file.write(content)


def sync_directory(directory: Path) -> None:
    """Wait until the names in a directory are on the disk; raises OSError. Network file systems may lack a way."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)
