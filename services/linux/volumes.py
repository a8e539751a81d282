"""File systems that live in a file of their own: made, mounted, grown, unmounted. Each call blocks; the caller is root.

An NFS file handle names a file system and an inode in it. So a directory that is a file system of its own is one that
no handle leads out of (docs/adr/0013-file-systems-of-their-own.md). ext4, because its journal makes a mount after a
power cut safe without a check. Does not decide which file systems there are: see appliance/exports/volumes.py.
"""

import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from services.linux import programs
from services.linux.programs import ProgramError

OPTIONS = "loop,nodev,nosuid,noexec,noatime"
"""noexec: what lies there runs on the PCs, never here."""

_BLOCK = 4096
# No blocks for root: the limit is what the PC gets. Tables and the journal of 16 MB are written when they are needed;
# room for growing while mounted would be written at once.
_MAKE = (
    *("mkfs.ext4", "-q", "-F", "-m", "0", "-b", str(_BLOCK), "-J", "size=16", "-O", "^resize_inode"),
    *("-E", "nodiscard,lazy_itable_init=1,lazy_journal_init=1"),
)
_MAKE_SECONDS = 60
_CHECK_SECONDS = 90
_MOUNT_SECONDS = 120  # the kernel replays the journal first
_BUSY_SECONDS = 2.0
_OCTAL = re.compile(r"\\([0-7]{3})")
_MOUNTS = Path("/proc/self/mountinfo")


@dataclass(frozen=True, slots=True)
class Mount:
    """What is mounted on a directory: `source` is its device, `whole` whether all of the file system is seen there
    (a bind mount of one of its directories is not)."""

    source: str
    whole: bool


def mounts(table: Path = _MOUNTS) -> dict[str, Mount]:
    """What is mounted where, as this process sees it; the topmost for each directory. See proc(5), mountinfo."""
    found = {}
    for line in table.read_text(errors="surrogateescape").splitlines():
        fields, _, rest = line.partition(" - ")
        _, _, _, root, where, *_ = fields.split(" ")
        found[_plain(where)] = Mount(_plain(rest.split(" ")[1]), root == "/")
    return found


def own_file_system(directory: Path, table: Mapping[str, Mount]) -> bool:
    """Whether this directory is the top of a file system, and all of it."""
    mount = table.get(str(directory))
    return mount is not None and mount.whole


def make(image: Path, size: int) -> None:
    """Make an empty file system of `size` bytes in a new sparse file; raises ProgramError, OSError.

    Its UUID is random: in the handles of NFS-Ganesha it is what another PC would have to guess.
    """
    descriptor = os.open(image, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.ftruncate(descriptor, size)
        programs.output((*_MAKE, str(image)), seconds=_MAKE_SECONDS)
    except BaseException:
        image.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)


def mount(image: Path, directory: Path) -> None:
    """Mount the file system in `image` on `directory`; raises ProgramError."""
    programs.output(("mount", "-t", "ext4", "-o", OPTIONS, str(image), str(directory)), seconds=_MOUNT_SECONDS)


def bind(source: Path, directory: Path) -> None:
    """Show `source` on `directory` too, without what is mounted below it; raises ProgramError."""
    programs.output(("mount", "--bind", "--make-private", str(source), str(directory)), seconds=_MOUNT_SECONDS)


def grow(image: Path, size: int) -> None:
    """Give the file system in `image`, which is not mounted, `size` bytes if it has less. Never shrinks it; finishes
    what a crash cut off. Raises ProgramError, OSError."""
    if _size(image) >= size - size % _BLOCK:
        return
    if image.stat().st_size < size:
        os.truncate(image, size)
    check = ("e2fsck", "-f", "-p", str(image))
    try:
        programs.output(check, seconds=_CHECK_SECONDS)
    except ProgramError:
        # It also fails when it has repaired something, which it need not do twice.
        programs.output(check, seconds=_CHECK_SECONDS)
    programs.output(("resize2fs", str(image)), seconds=_CHECK_SECONDS)


def _size(image: Path) -> int:
    """The bytes that the file system in `image` believes to have, from its superblock: ext4(5)'s s_blocks_count."""
    with image.open("rb") as file:
        superblock = file.read(2048)[1024:]
    low, high, logarithm = (int.from_bytes(superblock[at : at + 4], "little") for at in (4, 0x150, 24))
    return (high << 32 | low) * (1024 << logarithm)


def unmount(directory: Path) -> bool:
    """Unmount what is mounted on `directory`; returns False if somebody still uses it after a moment."""
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            programs.output(("umount", str(directory)), seconds=_MOUNT_SECONDS)
            return True
        except ProgramError as error:
            if str(directory) not in mounts():
                return True
            # The NFS server lets go of it a moment after the export has ended.
            if "busy" not in error.said or time.monotonic() > deadline:
                return False
        time.sleep(0.1)


def _plain(text: str) -> str:
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), text)
