"""`python -m bench.storm`: a thousand PCs are switched on at once, and all must boot.

Two storms. In the first each PC continues as soon as it can, as after a power cut in the building. In the second all
wait for each other before each stage, so that the server's processor time can be assigned to stages.
"""

import argparse
import asyncio
import math
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.box import MB, BenchBox, box_and_crowd
from bench.cpu import cpu_seconds
from bench.crowd import MOST, Crowd
from bench.measure import GB, Sample, machine
from bench.pc import STAGES, Files, StormPc, Tally
from bench.report import Findings, Table, number, text
from tests.netns.scripted_pc import LOADERS
from tests.room.processes import RoomError

SERVICES: Mapping[str, Sequence[str]] = {
    "DHCP": ("discover", "boot server", "iPXE discover"),
    "TFTP": ("loader",),
    "script": ("script",),
    "HTTP": ("kernel", "initrd"),
    "report": ("report",),
}
"""Which service does the work of which stages."""


@dataclass
class Steps:
    """Lets PCs start each stage only together, and records the server's processor time and the clock at each."""

    pcs: int
    cpu: Callable[[], float]
    at: dict[str, tuple[float, float]] = field(default_factory=dict)
    _waiting: list["asyncio.Future[None]"] = field(default_factory=list)
    _stage: str = ""

    def __call__(self, stage: str) -> "asyncio.Future[None]":
        """The future that is set when all PCs still booting have reached this stage."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._stage = stage
        self._waiting.append(future)
        self._go()
        return future

    def leave(self) -> None:
        """Stop waiting for one of them."""
        self.pcs -= 1
        self._go()

    def _go(self) -> None:
        if not self._waiting or len(self._waiting) < self.pcs:
            return
        self.at[self._stage] = self.cpu(), time.monotonic()
        for future in self._waiting:
            future.set_result(None)
        self._waiting = []


@dataclass(frozen=True)
class Storm:
    """The result of one storm. `spent` has processor and wall-clock seconds by service, if PCs waited for each
    other."""

    sample: Sample
    tally: Tally
    spent: Mapping[str, tuple[float, float]]


async def storm(box: BenchBox, crowd: Crowd, files: Files, first: int, *, in_step: bool, pcs: int = MOST) -> Storm:
    """Boot the first `pcs` PCs of the crowd at once; `first` is the start of a range of unused transaction ids.

    Inside `with crowd`.
    """
    tally = Tally()
    places = crowd.places[:pcs]

    def cpu() -> float:
        return cpu_seconds(box.pid)

    steps = Steps(len(places), cpu)

    async def one(number: int) -> None:
        pc = StormPc(crowd, places[number], files, tally, first + number)
        await pc.boot(steps if in_step else None)
        steps.leave()

    begun, before = time.monotonic(), cpu()
    await asyncio.gather(*(one(number) for number in range(len(places))))
    ended, after = time.monotonic(), cpu()
    extra = {
        "pcs": len(places),
        "failures": len(tally.failures),
        "retransmits": sum(tally.repeated.values()),
    }
    sample = Sample(tally.data, ended - begun, after - before, extra)
    return Storm(sample, tally, by_service({**steps.at, "": (after, ended)}) if in_step else {})


def by_service(at: Mapping[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    """From the clocks at the start of each stage and at the end, the time each service took."""
    lasted = {stage: (end[0] - begin[0], end[1] - begin[1]) for (stage, begin), (_, end) in pairwise(at.items())}
    return {
        service: (
            sum(lasted[stage][0] for stage in stages if stage in lasted),
            sum(lasted[stage][1] for stage in stages if stage in lasted),
        )
        for service, stages in SERVICES.items()
    }


def findings(free: Storm, in_step: Storm) -> Findings:
    """Both storms in tables, naming the busiest stage."""
    rows = [
        [
            title,
            number(found.sample.extra["pcs"]),
            number(found.sample.extra["failures"]),
            number(found.sample.extra["retransmits"]),
            number(found.sample.bytes / GB),
            number(found.sample.seconds),
            number(found.sample.cpu),
        ]
        for title, found in (("as fast as each can", free), ("each stage together", in_step))
    ]
    columns = ["a boot storm", "PCs", "failures", "repeated packets", "GB", "seconds", "CPU s"]
    waits = [
        [
            stage,
            *(number(value) for value in _spread(free.tally.seconds[stage])),
            *(number(value) for value in _spread(in_step.tally.seconds[stage])),
        ]
        for stage in STAGES
    ]
    spent = [[service, *(number(value) for value in both)] for service, both in in_step.spent.items()]
    failures = [*free.tally.failures, *in_step.tally.failures]
    return Findings(
        tables=[
            Table("Boot storm", columns, rows),
            Table(
                "Boot storm: how long a PC waits",
                ["stage", "median s", "p99 s", "together: median s", "together: p99 s"],
                waits,
            ),
            Table("Boot storm: where the server's time goes", ["service", "CPU s", "seconds"], spent),
        ],
        remarks=[*_busiest(in_step), *(f"In the boot storm {why}." for why in failures[:10])],
        figures={"storm_failures": len(failures)},
    )


def _busiest(found: Storm) -> list[str]:
    total = sum(cpu for cpu, _ in found.spent.values())
    if not total:
        return []
    busiest = max(found.spent, key=lambda service: found.spent[service][0])
    slowest = max(STAGES, key=lambda stage: statistics.median(found.tally.seconds[stage] or [0.0]))
    return [
        f"The busiest stage of the boot storm is {busiest}: {found.spent[busiest][0] / total:.0%} of the server's"
        f" processor time. A PC waits longest in the stage {slowest!r}."
    ]


def measure(pcs: int = 1000, kernel: int = 8 * MB, initrd: int = 15 * MB) -> Findings:
    """Run both storms, with images of these sizes in bytes. RoomError when the box logs an error."""
    with (
        TemporaryDirectory() as directory,
        box_and_crowd(Path(directory), pcs, kernel=kernel, initrd=initrd) as (box, crowd, image),
    ):
        files = Files.of(LOADERS / "snponly.efi", image.path)

        async def both() -> Findings:
            with crowd:
                free = await storm(box, crowd, files, 1, in_step=False)
                return findings(free, await storm(box, crowd, files, 1 + pcs, in_step=True))

        found = asyncio.run(both())
        if complaints := box.complaints(0):
            raise RoomError(f"the box has logged {len(complaints)} errors, the first: {complaints[0]}")
    return found


def _spread(seconds: Sequence[float]) -> tuple[float, float]:
    """Median and 99th percentile."""
    if not seconds:
        return math.nan, math.nan
    return statistics.median(seconds), sorted(seconds)[min(int(len(seconds) * 0.99), len(seconds) - 1)]


def main() -> int:
    """Run both storms and show them; exit code 1 when a PC did not boot."""
    parser = argparse.ArgumentParser(prog="python -m bench.storm", description=__doc__)
    parser.add_argument("--pcs", type=int, default=1000)
    parser.add_argument("--kernel-mb", type=float, default=8)
    parser.add_argument("--initrd-mb", type=float, default=15)
    arguments = parser.parse_args()
    found = measure(arguments.pcs, int(arguments.kernel_mb * MB), int(arguments.initrd_mb * MB))
    for table in found.tables:
        print(text(table))
    print(*found.remarks, machine(), sep="\n")
    return int(found.figures["storm_failures"] > 0)


if __name__ == "__main__":
    sys.exit(main())
