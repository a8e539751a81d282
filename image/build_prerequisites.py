"""Checks what a build needs before any work starts."""

import os
import shutil
from pathlib import Path

from image.command import PATH

TOOLS = {
    "lb": "live-build",
    "debootstrap": "debootstrap",
    "mksquashfs": "squashfs-tools",
    "unshare": "util-linux",
    "setpriv": "util-linux",
    "openssl": "openssl",
}
"""Programs that the build starts, and their Debian packages."""

WORK_BYTES = 4_000_000_000
IMAGES_BYTES = 600_000_000


def problems(work: Path, images: Path, *, user: int, path: str = PATH) -> tuple[tuple[str, str], ...]:
    """Return all problems as (what is wrong, what to do); empty if the build can start. `user` is a uid."""
    found: list[tuple[str, str]] = []
    if user != 0:
        found.append(("only root can build an image", "run it with sudo"))
    missing = {package for tool, package in TOOLS.items() if shutil.which(tool, path=path) is None}
    if missing:
        names = " ".join(sorted(missing))
        found.append((f"not installed: {names}", f"apt-get install --no-install-recommends {names}"))
    if any(character.isspace() for character in str(work)) or work == Path("/"):
        found.append((f"live-build cannot work in {str(work)!r}", "choose a directory whose path has no spaces"))
    flags = os.statvfs(_existing(work)).f_flag
    if flags & (os.ST_NODEV | os.ST_NOEXEC):
        found.append((f"{work} is on a file system mounted nodev or noexec", "choose another directory"))
    for directory, needed in ((work, WORK_BYTES), (images, IMAGES_BYTES)):
        if os.statvfs(_existing(directory)).f_flag & os.ST_RDONLY:
            # Perhaps the sandbox of the unit: `data` is not where the unit expects it.
            edit = f"systemctl edit netboot-appliance-image, with the lines [Service] and ReadWritePaths={directory}"
            found.append((f"{directory} is on a read-only file system", f"remount it; or, under systemd: {edit}"))
        free = shutil.disk_usage(_existing(directory)).free
        if free < needed:
            found.append(
                (
                    f"{directory} has {free / 1e9:.1f} GB free, and {needed / 1e9:.1f} GB are needed",
                    "make room, or choose a directory on a larger disk",
                )
            )
    return tuple(found)


def _existing(directory: Path) -> Path:
    return next(path for path in (directory, *directory.parents) if path.exists())
