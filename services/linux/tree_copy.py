"""Copies a directory tree whole, and compares two trees byte by byte. Each call blocks; the caller is root."""

import filecmp
import os
import stat
from pathlib import Path

from services.linux import programs

_COPY_SECONDS = 6 * 3600


def copy(source: Path, target: Path) -> None:
    """Copy what is in `source` into the existing directory `target`, with owners, modes, times, links, attributes and
    holes; `target` itself becomes like `source`. Raises ProgramError."""
    programs.output(("cp", "-a", "--sparse=always", f"{source}/.", str(target)), seconds=_COPY_SECONDS)


def difference(first: Path, second: Path) -> str:
    """The first difference between two trees, in words; "" when they are the same in all that `copy` keeps."""
    linked: dict[tuple[int, int], str] = {}
    waiting = [Path()]
    while waiting:
        each = waiting.pop()
        here, there = first / each, second / each
        if not os.path.lexists(there):
            return f"{there} is missing"
        one, other = here.lstat(), there.lstat()
        if not _alike(one, other) or _attributes(here) != _attributes(there):
            return f"{there} has another owner, mode, time or attribute than {here}"
        if stat.S_ISDIR(one.st_mode):
            names = sorted(os.listdir(here))
            if names != sorted(os.listdir(there)):
                return f"{there} has other files than {here}"
            waiting += [each / name for name in names]
        elif stat.S_ISLNK(one.st_mode):
            if here.readlink() != there.readlink():
                return f"{there} leads elsewhere than {here}"
        elif stat.S_ISREG(one.st_mode):
            # Names that share an inode are compared once, and must share one in the copy.
            if one.st_nlink > 1 and (known := linked.setdefault((one.st_dev, one.st_ino), str(each))) != str(each):
                if not os.path.samefile(second / known, there):
                    return f"{there} is not a link to {second / known}"
            elif not filecmp.cmp(here, there, shallow=False):
                return f"{there} has another content than {here}"
    return ""


def occupied(directory: Path) -> int:
    """How many bytes of disk a tree takes."""
    total, seen = 0, set[tuple[int, int]]()
    for folder, _, files in os.walk(directory):
        for path in (folder, *(os.path.join(folder, name) for name in files)):
            found = os.lstat(path)
            if (found.st_dev, found.st_ino) not in seen:
                seen.add((found.st_dev, found.st_ino))
                total += found.st_blocks * 512
    return total


def _alike(one: os.stat_result, other: os.stat_result) -> bool:
    def kept(found: os.stat_result) -> tuple[int, ...]:
        size = 0 if stat.S_ISDIR(found.st_mode) else found.st_size
        return found.st_mode, found.st_uid, found.st_gid, found.st_mtime_ns, found.st_rdev, size

    return kept(one) == kept(other)


def _attributes(path: Path) -> dict[str, bytes]:
    try:
        names = os.listxattr(path, follow_symlinks=False)
        return {name: os.getxattr(path, name, follow_symlinks=False) for name in names}
    except OSError:  # this file system has none
        return {}
