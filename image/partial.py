"""Releases that are on their way from another box: directories `.pulling-ID` beside the releases.

Such a directory has what came so far, each file under its SHA-256, and is locked by the process that pulls. One that
nobody works at is taken up by the next pull of that release, or removed by `sweep`.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from image.release import ReleaseError

_PREFIX = ".pulling-"


@contextmanager
def opened(images: Path, ident: str) -> Iterator[Path]:
    """The directory for one release, which is made if it is not there. Raises ReleaseError if another process is at
    it, and OSError."""
    path = images / f"{_PREFIX}{ident}"
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if (descriptor := _lock(path)) is None:
        raise ReleaseError(f"another process is pulling {ident} already", "wait for it, or end it; then pull again")
    try:
        yield path
    finally:
        os.close(descriptor)


def sweep(images: Path) -> None:
    """Remove what interrupted pulls have left. Raises OSError."""
    for path in images.glob(f"{_PREFIX}*"):
        if (descriptor := _lock(path)) is not None:
            try:
                shutil.rmtree(path)
            finally:
                os.close(descriptor)


def _lock(path: Path) -> int | None:
    """A descriptor of the directory that holds its lock; None if another process has that."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with suppress(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return descriptor
    os.close(descriptor)
    return None
