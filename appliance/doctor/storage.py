"""Whether what the box keeps can be kept: disk space, and a registry that can be written."""

import os
from dataclasses import dataclass
from pathlib import Path

from appliance.config.file import Config
from appliance.doctor.finding import Finding, error, note, ok, warning
from appliance.errors import UserError
from appliance.registry.database import Registry

MIN_FREE = 256 << 20
"""Bytes below which the PCs' work and the registry are about to fail."""

BUILD_FREE = 4 << 30
"""Bytes that building an image takes for a while, with room for the result."""

MIN_FILES = 1000


@dataclass(frozen=True, slots=True)
class Disk:
    """The file system that holds `path`: bytes, and files that can still be made (None where there is no limit)."""

    path: Path
    free: int
    files: int | None
    read_only: bool


def judge_disk(disk: Disk) -> Finding:
    """Judge the file system of the data directory."""
    free = f"{disk.free / 1e9:.1f} GB are free for {disk.path}"
    if disk.read_only:
        return error(
            "disk",
            f"the file system of {disk.path} is read-only",
            "the PCs' work and the registry live there; a disk error often is the cause",
            "look into the kernel's log (journalctl -k), repair the disk, mount it read-write",
        )
    full = "" if disk.files is None or disk.files >= MIN_FILES else f"only {disk.files} more files fit into {disk.path}"
    if disk.free < MIN_FREE or full:
        return error(
            "disk",
            full or f"the disk is full: {free}",
            "PCs lose work that they cannot save, and boots are not written down",
            "delete old images (netboot-appliance image list), or put the data directory on a larger disk",
        )
    if disk.free < BUILD_FREE:
        return warning(
            "disk",
            f"only {free}",
            f"building an image takes up to {BUILD_FREE / 1e9:.0f} GB for a while",
            "delete old images (netboot-appliance image list), or put the data directory on a larger disk",
        )
    return ok("disk", free)


def judge_registry(path: Path, problem: str) -> Finding:
    """`problem` is why the registry cannot be written, or empty."""
    if problem:
        return error(
            "registry",
            f"the registry cannot be written: {problem}",
            "the allowlist cannot be changed, and boots are not written down",
            f"check the disk and who owns {path} and the files beside it",
        )
    return ok("registry", f"the registry {path} can be written")


def check_disk(config: Config) -> list[Finding]:
    """Look at the file system of the data directory, or where it is going to be."""
    path = config.server.data
    while not path.exists():
        path = path.parent
    found = os.statvfs(path)
    files = found.f_favail if found.f_files else None
    read_only = bool(found.f_flag & os.ST_RDONLY)
    return [judge_disk(Disk(config.server.data, found.f_bavail * found.f_frsize, files, read_only))]


def check_registry(config: Config) -> list[Finding]:
    """Take the write lock of the registry for a moment; nothing is written."""
    if not config.registry.exists():
        return [
            note("registry", f"there is no registry {config.registry} yet; the first command that needs it makes it")
        ]
    return [judge_registry(config.registry, _why_not_writable(config.registry))]


def _why_not_writable(path: Path) -> str:
    try:
        with Registry(path) as registry, registry.transaction():
            return ""
    except UserError as problem:
        return problem.message
    except Exception as problem:  # sqlite3's own, which stop at registry.py
        return str(problem)
