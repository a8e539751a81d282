"""Paired measurements: contestants take turns; medians of ratios; a description of the machine.

A machine is never the same twice: another guest's work, a warmer processor. So within each repetition all contestants
of a contest run one after another, in rotating order, and the two runs of one repetition are compared. Knows nothing
about servers, protocols or paths.
"""

import math
import os
import platform
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

OURS = "netboot-appliance"
"""The name of our own contestant in each contest."""

BEFORE = "before"
"""The name of our contestant of another commit."""

GB = 1e9


@dataclass(frozen=True)
class Sample:
    """One run. `bytes` is what clients got and checked, `seconds` the wall-clock time, `cpu` the processor seconds of
    the server's whole process tree. `extra` has more figures by name (`replies`, `p99_ms`, `failures`,
    `retransmits`...)."""

    bytes: int
    seconds: float
    cpu: float
    extra: Mapping[str, float] = field(default_factory=dict)


def cpu_per_gb(sample: Sample) -> float:
    """Processor seconds per GB (1e9 bytes) served; infinite where nothing was served."""
    return sample.cpu / sample.bytes * GB if sample.bytes else float("inf")


def mb_per_s(sample: Sample) -> float:
    """Megabytes (1e6 bytes) per second of wall-clock time."""
    return sample.bytes / sample.seconds / 1e6


@dataclass(frozen=True)
class Figure:
    """A figure of a contest: a name with its unit, how to compute it from a sample, and which way is better. A figure
    that is zero when all is well has no ratios: it is not `compared`."""

    name: str
    of: Callable[[Sample], float]
    lower_is_better: bool = True
    compared: bool = True


CPU = Figure("CPU s/GB", cpu_per_gb)
SPEED = Figure("MB/s", mb_per_s, lower_is_better=False)


def extra(key: str, name: str, *, lower_is_better: bool = True, compared: bool = True) -> Figure:
    """The figure `key` of the samples' extra, shown as `name`."""
    return Figure(name, lambda sample: sample.extra[key], lower_is_better, compared)


@dataclass(frozen=True)
class Contestant:
    """A server, and the function that makes one run. Ours is named OURS."""

    name: str
    run: Callable[[], Sample]


@dataclass(frozen=True)
class Contest:
    """The same work for several servers. The first of `figures` decides, the others stand beside it."""

    title: str
    contestants: Sequence[Contestant]
    figures: Sequence[Figure] = (CPU, SPEED)


@dataclass(frozen=True)
class Result:
    """A contest's samples: one per contestant and repetition, in the order of the repetitions."""

    contest: Contest
    samples: Mapping[str, Sequence[Sample]]

    def values(self, name: str, figure: Figure) -> list[float]:
        """A contestant's figure in each repetition."""
        return [figure.of(sample) for sample in self.samples[name]]

    def median(self, name: str, figure: Figure) -> float:
        """The median of a contestant's figure."""
        return statistics.median(self.values(name, figure))

    def ratio(self, peer: str, figure: Figure) -> float:
        """How many times better ours is than `peer`: the median of the ratios of the runs of one repetition."""
        return statistics.median(self.ratios(peer, figure))

    def ratios(self, peer: str, figure: Figure) -> list[float]:
        """How many times better ours is than `peer`, for each repetition."""
        pairs = zip(self.values(OURS, figure), self.values(peer, figure), strict=True)
        if figure.lower_is_better:
            return [_quotient(theirs, ours) for ours, theirs in pairs]
        return [_quotient(ours, theirs) for ours, theirs in pairs]

    @property
    def peers(self) -> list[str]:
        """The contestants other than ours."""
        return [contestant.name for contestant in self.contest.contestants if contestant.name != OURS]

    @property
    def compared(self) -> list[Figure]:
        """The figures with ratios."""
        return [figure for figure in self.contest.figures if figure.compared]

    def as_json(self) -> dict[str, Any]:
        """Every sample, the medians and the ratios as plain values."""
        names = [contestant.name for contestant in self.contest.contestants]
        has_ours = OURS in names
        return {
            "title": self.contest.title,
            "samples": {name: [asdict(sample) for sample in self.samples[name]] for name in names},
            "medians": {name: {f.name: finite(self.median(name, f)) for f in self.contest.figures} for name in names},
            "ratios": {
                name: {f.name: finite(self.ratio(name, f)) for f in self.compared} for name in self.peers if has_ours
            },
        }


def rotate(
    contests: Sequence[Contest], repetitions: int, progress: Callable[[str], None] = lambda line: None
) -> list[Result]:
    """Run every contest `repetitions` times; the order of its contestants rotates by one each time.

    `progress` is called for each run. An exception in a run ends everything: half a comparison is worthless.
    """
    results = []
    for contest in contests:
        samples: dict[str, list[Sample]] = {contestant.name: [] for contestant in contest.contestants}
        for repetition in range(repetitions):
            for contestant in _turned(contest.contestants, repetition):
                sample = contestant.run()
                samples[contestant.name].append(sample)
                told = ", ".join(f"{figure.name} {figure.of(sample):.3g}" for figure in contest.figures)
                progress(f"{contest.title} [{repetition + 1}/{repetitions}] {contestant.name}: {told}")
        results.append(Result(contest, samples))
    return results


def machine() -> str:
    """One line: processor, number of cores, kernel, Python, date (UTC)."""
    date = datetime.now(UTC).date().isoformat()
    python = platform.python_version()
    return f"{_processor()}, {os.cpu_count()} cores, Linux {platform.release()}, Python {python}, {date}"


def finite(value: float) -> float | None:
    """The value, or None if JSON cannot express it."""
    return value if math.isfinite(value) else None


def _turned(contestants: Sequence[Contestant], by: int) -> Iterator[Contestant]:
    first = by % len(contestants)
    yield from contestants[first:]
    yield from contestants[:first]


def _quotient(above: float, below: float) -> float:
    if below:
        return above / below
    return float("inf") if above else 1.0


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return " ".join(line.partition(":")[2].split())
    return platform.machine()
