"""The SHA-256 of an image's files, kept from process to process: `status` need not read 10,000 files again.

A file is known by its path, device, inode, size and times. One that was changed in the last seconds before it was read
is not kept: it could change once more and still have the same times. Who may not write the file does without.
"""

import contextlib
import json
import os
import time
from pathlib import Path

from image.custom_files import digest, identity
from services.linux import atomic_file

_LARGEST = 32 << 20
_SETTLED = 3_000_000_000
"""Nanoseconds since a file's last change, so that the next one has another time on every file system."""

Known = dict[str, list[int | str]]


class KnownDigests:
    """What is known of one directory, in the file `path`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._before = _read(path)
        self._now: Known = {}
        self._began = time.time_ns()

    def of(self, path: Path, status: os.stat_result) -> str:
        """The SHA-256 of the file at `path`, which has this status; raises OSError."""
        key = list(identity(status))
        known = self._before.get(str(path))
        if known is not None and known[:-1] == key:
            self._now[str(path)] = known
            return str(known[-1])
        found = digest(path, status)
        if self._began - max(status.st_mtime_ns, status.st_ctime_ns) > _SETTLED:
            self._now[str(path)] = [*key, found]
        return found

    def save(self) -> None:
        """Keep what is known of the files that were asked for, where that is allowed."""
        if self._now != self._before:
            with contextlib.suppress(OSError):
                content = json.dumps(self._now, separators=(",", ":")).encode(errors="surrogateescape")
                atomic_file.write(self._path, content, mode=0o600, durable=False)


def _read(path: Path) -> Known:
    try:
        with path.open("rb") as file:
            # Others could say what they like of files that they cannot read.
            if os.fstat(file.fileno()).st_uid not in (0, os.geteuid()):
                return {}
            found = json.loads(file.read(_LARGEST))
        return {str(name): [*map(int, values[:-1]), str(values[-1])] for name, values in found.items()}
    except (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return {}
