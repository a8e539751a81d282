"""The file system that holds the data directory: how much room it has. Reports trouble only when it stops the box."""

import os
from dataclasses import dataclass
from pathlib import Path

MIN_FREE = 256 << 20
"""Bytes below which the PCs' work and the registry are about to fail."""

MIN_FILES = 1000


@dataclass(frozen=True, slots=True)
class Disk:
    """The file system that holds `path`: free bytes, and how many more files fit (None where there is no limit)."""

    path: Path
    free: int
    files: int | None
    read_only: bool

    @property
    def room(self) -> str:
        """The free space, in words."""
        return f"{self.free / 1e9:.1f} GB are free for {self.path}"

    @property
    def trouble(self) -> str:
        """Why nothing can be saved, in words; "" while there is room."""
        if self.read_only:
            return f"the file system of {self.path} is read-only"
        if self.files is not None and self.files < MIN_FILES:
            return f"only {self.files} more files fit into {self.path}"
        return f"the disk is full: {self.room}" if self.free < MIN_FREE else ""


def look(path: Path) -> Disk:
    """Ask the kernel about the file system that holds `path`, or will hold it."""
    existing = path
    while not existing.exists():
        existing = existing.parent
    found = os.statvfs(existing)
    files = found.f_favail if found.f_files else None
    return Disk(path, found.f_bavail * found.f_frsize, files, bool(found.f_flag & os.ST_RDONLY))
