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


class KnownDigests:
    """What is known of one directory, in the file `path`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._before = _read(path)
        self._now: dict[str, list[int | str]] = {}
        self._began = time.time_ns()

    def of(self, path: Path, status: os.stat_result) -> str:
        """The SHA-256 of the file at `path`, which has this status; raises OSError."""
        name, key = str(path), [*identity(status)]
        match self._before.get(name):
            case [*known, str(found)] if known == key:
                pass
            case _:
                found = digest(path, status)
                if self._began - max(status.st_mtime_ns, status.st_ctime_ns) <= _SETTLED:
                    return found
        self._now[name] = [*key, found]
        return found

    def save(self) -> None:
        """Keep what is known of the files that were asked for, where that is allowed."""
        if self._now != self._before:
            with contextlib.suppress(OSError):
                content = json.dumps(self._now, separators=(",", ":")).encode(errors="surrogateescape")
                atomic_file.write(self._path, content, mode=0o600, durable=False)


def _read(path: Path) -> dict[str, object]:
    """What the file says. Anybody may have damaged it: values are looked at when they are used."""
    try:
        with path.open("rb") as file:
            # Others could say what they like of files that they cannot read.
            if os.fstat(file.fileno()).st_uid not in (0, os.geteuid()):
                return {}
            found = json.loads(file.read(_LARGEST))
            return found if isinstance(found, dict) else {}
    except (OSError, ValueError, RecursionError):
        return {}
