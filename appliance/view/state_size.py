"""How much disk a PC's work takes on the server: looked at for a moment, never for long. Reads only.

The work is a file system of its own in a sparse file, or a plain directory. Only root may look into most of them; then
the size is not known here, and the PC's own word for what is free is what there is.
"""

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from appliance.config.file import Config
from services.ethernet import MacAddress

MOST_FILES = 50_000
SECONDS = 0.3
"""A walk ends after so many files, or this time."""


@dataclass(frozen=True, slots=True)
class StateSize:
    """Bytes on the disk, or None if nobody here may look. Not `complete`: there is more than could be counted.
    `exists`: there is a directory or a file system at all, as far as can be seen."""

    used: int | None
    complete: bool = True
    exists: bool = True


def measure(config: Config, mac: MacAddress) -> StateSize:
    """Blocks for SECONDS, or for as long as the disk does."""
    image = config.volumes / f"{mac.bare}.img"
    directory = config.state / mac.bare
    with suppress(OSError):
        return StateSize(image.stat().st_blocks * 512)
    try:
        if not directory.exists():
            return StateSize(0, exists=False)
        return _walk(directory)
    except OSError:
        return StateSize(None)


def _walk(directory: Path) -> StateSize:
    used, until = 0, time.monotonic() + SECONDS
    for number, size in enumerate(_sizes(directory), 1):
        used += size
        if number >= MOST_FILES or time.monotonic() > until:
            return StateSize(used, complete=False)
    return StateSize(used)


def _sizes(directory: Path) -> Iterator[int]:
    """Bytes of each file, following no link; raises OSError for the directory itself only."""
    waiting = [str(directory)]
    first = True
    while waiting:
        try:
            entries = os.scandir(waiting.pop())
        except OSError:
            if first:
                raise
            continue
        first = False
        with entries:
            for entry in entries:
                with suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    yield entry.stat(follow_symlinks=False).st_blocks * 512
