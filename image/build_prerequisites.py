"""Checks what a build needs before any work starts."""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from image import command
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
    flags = os.statvfs(existing(work)).f_flag
    if flags & (os.ST_NODEV | os.ST_NOEXEC):
        found.append((f"{work} is on a file system mounted nodev or noexec", "choose another directory"))
    for directory in (work, images):
        if os.statvfs(existing(directory)).f_flag & os.ST_RDONLY:
            # Perhaps the sandbox of the unit: `data` is not where the unit expects it.
            edit = f"systemctl edit netboot-appliance-image, with the lines [Service] and ReadWritePaths={directory}"
            found.append((f"{directory} is on a read-only file system", f"remount it; or, under systemd: {edit}"))
    return tuple(found)


def versions(packages: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return which versions of packages are installed here, for each name in words; of what dpkg does not know there
    are none."""
    found = {}
    for name, of_it in packages.items():
        # One that is not installed must not hide the others.
        found[name] = " ".join(_version(package) for package in of_it)
    return found


def _version(package: str) -> str:
    try:
        return f"{package} {command.output(('dpkg-query', '--show', '--showformat=${Version}', package))}"
    except (OSError, command.CommandError):
        return f"{package} unknown"


def existing(directory: Path) -> Path:
    """Return the directory, or the one above it in which it will be made."""
    return next(path for path in (directory, *directory.parents) if path.exists())
