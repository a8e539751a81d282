"""Turns what a stage of a build raises into a BuildError that names the cause: from the log, and from the machine."""

import contextlib
import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from image import command
from image.failure_causes import MEMORY, SILENT, FailureCause, find_cause
from image.mirror_patience import MirrorLostError
from image.progress import BuildError, Stages
from image.release import ReleaseError

_LONGEST_LINE = 1 << 16
"""Characters. A program may print a line without an end."""
_FROM_THE_MIRROR = ("bootstrap", "packages", "extras")
"""The stages that ask it for anything."""
_FULL = 1 << 20
"""Bytes that are left: with less, a disk is full. A program that failed may have deleted what it could not write."""


@contextmanager
def explained(stages: Stages, log: Path, directories: Sequence[Path]) -> Iterator[None]:
    """Raise BuildError, which names the stage and the cause, for what a stage raises. `directories` are those that it
    writes to; `log` has what its programs printed."""
    killed = _killed_for_memory()
    try:
        yield
    except (command.CommandError, MirrorLostError) as error:
        cause = _cause(error, stages.current, log, directories, killed)
        how = "" if isinstance(error, MirrorLostError) else str(error)
        said = f"{cause.words} ({how})" if cause and how else cause.words if cause else how
        hint = cause.hint if cause else "see the log; the command above repeats the failed step"
        tail, paste = (error.tail, error.paste) if isinstance(error, command.CommandError) else (_tail(log), "")
        message = f"the build failed in the stage {stages.current}: {said}"
        raise BuildError(stages.current, message, hint, log=log, tail=tail, paste=paste) from error
    except (OSError, ReleaseError) as error:
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        hint = f"{'make room' if full else 'check the disk and the log'}, then build again"
        what = next(_full(directories), str(error)) if full else str(error)
        message = f"the build failed in the stage {stages.current}: {what}"
        hint = error.hint if isinstance(error, ReleaseError) else hint
        raise BuildError(stages.current, message, hint, log=log) from error


def _cause(error: Exception, stage: str, log: Path, directories: Sequence[Path], killed: int) -> FailureCause | None:
    for what in _full(directories):
        return FailureCause(what, "make room, then build again")
    found = find_cause(_last_run(log), mirror=stage in _FROM_THE_MIRROR)
    if found is None and isinstance(error, MirrorLostError):
        return SILENT
    return MEMORY if found is None and _killed_for_memory() > killed else found


def _full(directories: Sequence[Path]) -> Iterator[str]:
    """Which disks are full, in words."""
    for directory in directories:
        if what := _lacks(directory):
            yield f"the disk of {directory} {what}"


def _lacks(directory: Path) -> str:
    """What the file system of a directory has too little of, in words; empty if nothing."""
    with contextlib.suppress(OSError):
        found = os.statvfs(directory)
        # As root has it.
        if found.f_bfree * found.f_frsize < _FULL:
            return "is full"
        if found.f_files and not found.f_ffree:
            return "has no room for another file (df -i)"
    return ""


def _killed_for_memory() -> int:
    """How many programs the kernel has ended for want of memory since it started."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/vmstat").read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0


def _last_run(log: Path) -> list[str]:
    """What the last program that the build ran has printed, as the log has it: the ones before it did not fail."""
    lines: list[str] = []
    with contextlib.suppress(OSError), log.open(encoding="utf-8", errors="replace") as file:
        while line := file.readline(_LONGEST_LINE):
            if line.startswith(command.LOGGED):
                lines.clear()
            lines.append(line.rstrip("\n"))
    return lines


def _tail(log: Path) -> list[str]:
    return _last_run(log)[-command.TAIL_LINES :]
