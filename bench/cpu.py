"""Processor time of a process and everything it started, including processes that have ended."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

_TICK = 1 / os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """Seconds of processor time, user and system, of `pid` and its descendants since its start.

    Raises ProcessLookupError when there is no such process.
    """
    processes = dict(_processes())
    if pid not in processes:
        raise ProcessLookupError(f"there is no process {pid}")
    total, tree = 0.0, [pid]
    for member in tree:
        total += _own_seconds(member) + processes[member][1]
        tree += [child for child, (parent, _) in processes.items() if parent == member]
    return total


def _own_seconds(pid: int) -> float:
    """Of one process with its threads, ended ones too; 0 when it has ended, since its parent has its time."""
    try:
        # The clock of a process (clock_getcpuclockid(3)) counts nanoseconds where /proc/PID/stat counts ticks.
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return 0.0


def _processes() -> Iterator[tuple[int, tuple[int, float]]]:
    """Every process: its parent, and the processor seconds of the children it has waited for. See proc(5), stat."""
    for folder in os.listdir("/proc"):
        if folder.isdigit():
            try:
                stat = Path(f"/proc/{folder}/stat").read_bytes()
            except OSError:  # it has just ended
                continue
            fields = stat.rpartition(b")")[2].split()
            yield int(folder), (int(fields[1]), (int(fields[13]) + int(fields[14])) * _TICK)
