"""Whether a process grows: samples of its memory, files and threads, and the judgement. `judge` is PURE."""

import resource
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

GROWTH = 200.0
"""Bytes per boot by which memory may grow over the second half of the load. Caches and histories fill up to their
limits; but a single transfer leaked per boot would be 800."""

DISK_GROWTH = 8000.0
"""Bytes per boot by which the registry and the log may grow over the second half of the load: the events of a boot, and
its lines in the log, which journald would rotate."""

DESCRIPTORS_LEFT = 2
"""Open files more than at first that may be left at the end: those being read or written just then."""

_PAGE = resource.getpagesize()


@dataclass(frozen=True)
class Vitals:
    """What the process had `at` seconds after the start: resident memory in bytes, open files, sockets among them, and
    threads; and the bytes of its registry and log."""

    at: float
    rss: int
    descriptors: int
    sockets: int
    threads: int
    disk: int

    @classmethod
    def of(cls, pid: int, files: Sequence[Path], at: float) -> "Vitals":
        """Look at a process, and at the files that it writes; OSError when it is gone."""
        process = Path(f"/proc/{pid}")
        resident = int((process / "statm").read_text().split()[1]) * _PAGE
        links = [_link(path) for path in (process / "fd").iterdir()]
        sockets = sum(link.startswith("socket:") for link in links)
        threads = len(list((process / "task").iterdir()))
        return cls(at, resident, len(links), sockets, threads, sum(_size(path) for path in files))


@dataclass(frozen=True)
class Judgement:
    """What was done, and for each rule whether it holds, in words."""

    did: Mapping[str, int]
    growth: float
    rules: Mapping[str, bool]

    @property
    def flat(self) -> bool:
        """Whether all rules hold."""
        return all(self.rules.values())

    @property
    def lines(self) -> list[str]:
        """For people."""
        rules = [f"{'holds' if holds else 'BROKEN'}: {rule}" for rule, holds in self.rules.items()]
        return [", ".join(f"{count:,} {what}" for what, count in self.did.items()), *rules]

    def as_json(self, found: Sequence[Vitals]) -> dict[str, Any]:
        """With all samples, as plain values."""
        return {**asdict(self), "flat": self.flat, "samples": [asdict(vitals) for vitals in found]}


def judge(
    found: Sequence[Vitals], loaded: float, failures: Sequence[str], complaints: Sequence[str], did: Mapping[str, int]
) -> Judgement:
    """Judge samples of `loaded` seconds of load and the quiet after them; the first is from before the load, the last
    from the end. `failures` are PCs that did not boot, `complaints` the errors in the log; `did` has the number of
    "boots"."""
    half = [vitals for vitals in found if loaded / 2 <= vitals.at <= loaded]
    growth = slope([(v.at, v.rss) for v in half]) * loaded / did["boots"]
    disk = slope([(v.at, v.disk) for v in half]) * loaded / did["boots"]
    first, last = found[0], found[-1]
    first_failure = f", the first {failures[0]}" if failures else ""
    first_complaint = f", the first {complaints[0]!r}" if complaints else ""
    rules = {
        f"memory grows by {growth:.0f} bytes a boot over the second half of the load, at most {GROWTH:.0f}": growth
        <= GROWTH,
        f"registry and log grow by {disk:.0f} bytes a boot, at most {DISK_GROWTH:.0f}": disk <= DISK_GROWTH,
        f"{last.descriptors} descriptors at the end, {first.descriptors} at the start": last.descriptors
        <= first.descriptors + DESCRIPTORS_LEFT,
        f"{len(failures)} PCs did not boot{first_failure}": not failures,
        f"{len(complaints)} errors in the log{first_complaint}": not complaints,
    }
    return Judgement(did, growth, rules)


def slope(found: Sequence[tuple[float, int]]) -> float:
    """Bytes per second of growth, from (second, bytes), by least squares; StatisticsError for too few samples."""
    return statistics.linear_regression([at for at, _ in found], [size for _, size in found]).slope


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # SQLite removes its journal now and then
        return 0


def _link(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:  # it was just closed
        return ""
