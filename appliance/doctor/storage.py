"""Whether the box can save its data: disk space, and a registry that can be written."""

import time
from pathlib import Path

from appliance.config.file import Config
from appliance.doctor.finding import Finding, error, note, ok, warning
from appliance.errors import UserError
from appliance.exports import kept_list
from appliance.registry.database import Registry
from appliance.registry.disk import Disk, look
from appliance.view.kept_work import GIVE_BACK, LIST, KeptWorkView, kept_work_view

BUILD_FREE = 4 << 30
"""Bytes that building an image needs for a while, including the result."""


def judge_disk(disk: Disk) -> Finding:
    """Judge the file system of the data directory."""
    if disk.read_only:
        return error(
            "disk",
            disk.trouble,
            "the PCs' work and the registry live there; a disk error is often the cause",
            "look at the kernel's log (journalctl -k), repair the disk, and mount it read-write",
        )
    if disk.trouble:
        return error(
            "disk",
            disk.trouble,
            "PCs lose work that they cannot save, and boots are not recorded",
            "delete old images (netboot-appliance image list), or put the data directory on a larger disk",
        )
    if disk.free < BUILD_FREE:
        return warning(
            "disk",
            f"only {disk.room}",
            f"building an image needs up to {BUILD_FREE / 1e9:.0f} GB for a while",
            "delete old images (netboot-appliance image list), or put the data directory on a larger disk",
        )
    return ok("disk", disk.room)


def judge_registry(path: Path, problem: str) -> Finding:
    """`problem` is why the registry cannot be written, or empty."""
    if problem:
        return error(
            "registry",
            f"the registry cannot be written: {problem}",
            "the allowlist cannot be changed, and boots are not recorded",
            f"check the disk and who owns {path} and the files beside it",
        )
    return ok("registry", f"the registry {path} can be written")


def judge_kept_work(kept: KeptWorkView | None) -> list[Finding]:
    """Whether work of forgotten PCs is deleted soon."""
    if kept is None or not kept.soon:
        return []
    return [note("kept-work", kept.words, "what these PCs had computed is gone then", f"see: {LIST}; {GIVE_BACK}")]


def check_kept_work(config: Config) -> list[Finding]:
    """Look at the list of the work that was set aside."""
    return judge_kept_work(kept_work_view(kept_list.read(config), time.time()))


def check_disk(config: Config) -> list[Finding]:
    """Look at the file system of the data directory, or where it is going to be."""
    return [judge_disk(look(config.server.data))]


def check_registry(config: Config) -> list[Finding]:
    """Take the write lock of the registry for a moment; nothing is written."""
    if not config.registry.exists():
        return [
            note("registry", f"there is no registry {config.registry} yet; the first command that needs it creates it")
        ]
    return [judge_registry(config.registry, _why_not_writable(config.registry))]


def _why_not_writable(path: Path) -> str:
    try:
        with Registry(path) as registry, registry.transaction():
            return ""
    except UserError as problem:
        return problem.message
    except Exception as problem:  # sqlite3's own, whose types stop at appliance/registry
        return str(problem)
