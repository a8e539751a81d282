"""`python -m bench.boot`: how long a PC takes from power-on until it computes, stage by stage.

Emulated PCs (UEFI, one processor, 1 GB) boot from the box by PXE; beside them the same kernel, initrd and command line
are started by QEMU itself: no firmware, no loader, the same root over NFS. One PC alone, then four at once. Everything
runs in the virtual room of the demo, with the image that is built there.
"""

import argparse
import asyncio
import os
import shutil
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import time
from typing import Any

from bench.measure import machine
from bench.report import Findings, Table, number, text
from services.ethernet import MacAddress
from tests.netns.scripted_pc import ScriptedPc
from tests.room.demo import check_prerequisites
from tests.room.interruption import interrupt_once
from tests.room.live_image import DEMO, give_image, only_one
from tests.room.pc import Pc
from tests.room.room import Room

LOADED = ("offered", "loader", "script", "kernel", "initrd")
STAGES = (*LOADED, "root mounted", "reported", "attached", "computing")
MANY = 4
REPETITIONS = 3
"""How often one PC boots each way: a boot takes a minute or more, and they differ little. Of four at once: once."""

_ALLOWED = "52:54:00:b0:07:*"
_BOOT_SECONDS = 600.0
_JOB_SECONDS = 15

Times = Mapping[str, float]
"""Seconds from power-on to each stage of a boot, by name."""


@dataclass
class Boots:
    """Boots PCs in a room, each under a MAC address of its own."""

    room: Room
    _count: int = 0

    def by_network(self, pcs: int) -> list[Times]:
        """Switch on so many PCs at once, and wait until all compute. RoomError if one does not."""
        return self._watch([self.room.pc(self._next()) for _ in range(pcs)])

    def directly(self, pcs: int) -> list[Times]:
        """The same, with kernel and initrd started by QEMU, which takes one ramdisk: there is no microcode."""
        made = []
        for mac in [self._next() for _ in range(pcs)]:
            words = asyncio.run(self._command_line(mac))
            image = self.room.data / "images" / "current"
            start = ("-kernel", str(image / "vmlinuz"), "-initrd", str(image / "initrd.img"), "-append", words)
            # Without its ROM the card adds nothing to the firmware.
            extra = (*start, "-global", "virtio-net-pci.romfile=")
            made.append(self.room.pc(mac, "bios", extra=extra))
        return self._watch(made)

    def _next(self) -> MacAddress:
        self._count += 1
        return MacAddress.parse(_ALLOWED.replace("*", f"{self._count:02x}"))

    async def _command_line(self, mac: MacAddress) -> str:
        """What the box would have a loader give to the kernel of this PC."""
        with ScriptedPc(self.room.network, mac, name := f"ask-{mac.bare[-2:]}") as pc:
            script = await pc.run_ipxe(0)
        self.room.network.wire.ip("link", "del", f"port-{name}")
        return " ".join(script.words)

    def _watch(self, pcs: Sequence[Pc]) -> list[Times]:
        began = {}
        for pc in pcs:
            began[pc.mac] = time()
            pc.power_on()

        def found() -> dict[MacAddress, Times]:
            boots = {boot["mac"]: boot for boot in self.room.status()["boots"]}
            return {mac: _since(on, boots.get(str(mac))) for mac, on in began.items()}

        def all_compute() -> bool:
            return all("computing" in stages for stages in found().values())

        try:
            # Asking takes a third of a second of a processor that the PCs need.
            self.room.wait_until(all_compute, _BOOT_SECONDS * (1 + len(pcs)) / 2, "all PCs to compute")
            return list(found().values())
        finally:
            for pc in pcs:
                pc.power_off()


@contextmanager
def boots(images: Path | None = None) -> Iterator[Boots]:
    """A room whose box serves the demo's image, which is built if need be, or what is in the directory `images`."""
    check_prerequisites()
    # Measuring pins itself to one processor; PCs and servers take all.
    pinned = os.sched_getaffinity(0)
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    own = DEMO / "bench-boot"
    try:
        with only_one(own):
            if images is None:
                give_image(own / "data")
            else:
                shutil.rmtree(own / "data" / "images", ignore_errors=True)
                shutil.copytree(images, own / "data" / "images", symlinks=True)
            with Room(own, DEMO / "logs" / "bench-boot", job_seconds=_JOB_SECONDS) as room:
                room.start_project()
                room.start_box()
                room.appliance("allow", "add", _ALLOWED)
                yield Boots(room)
    finally:
        os.sched_setaffinity(0, pinned)


def measure(repetitions: int, pcs: Sequence[int] = (1, MANY), images: Path | None = None) -> Findings:
    """Boot each number of PCs at once, by network and directly, in turns; one PC alone so often."""
    found = Findings()
    with boots(images) as room:
        for together in pcs:
            ours: list[Times] = []
            direct: list[Times] = []
            for repetition in range(repetitions if together == 1 else 1):
                turns = [(room.by_network, ours), (room.directly, direct)]
                for boot, times in turns if repetition % 2 == 0 else turns[::-1]:
                    times.extend(boot(together))
            found.add(findings(together, ours, direct))
    return found


def findings(pcs: int, ours: Sequence[Times], direct: Sequence[Times]) -> Findings:
    """Both ways beside each other: the seconds from power-on to each stage, and from the stage before; medians."""
    rows = []
    for stage, before in zip(STAGES, ("", *STAGES), strict=False):
        row = [stage, *_cells(ours, stage, before)]
        # A PC that is started directly loads nothing.
        row += ["", ""] if stage in LOADED else _cells(direct, stage, "" if before in LOADED else before)
        rows.append(row)
    ratio = _median(ours, "computing") / _median(direct, "computing")
    rows.append(["computing, times as late", number(ratio), "", "", ""])
    title = f"Power-on to computing, {'one PC' if pcs == 1 else f'{pcs} PCs at once'}"
    found = Findings(tables=[Table(title, ["stage", "at s", "after s", "direct: at s", "direct: after s"], rows)])
    if pcs == 1:
        found.figures = {"boot_ratio": ratio, "boot_reported_s": _median(ours, "reported")}
    return found


def _since(switched_on: float, boot: Any) -> Times:
    """The stages of a boot, as `status --json` has it, or of none."""
    if boot is None:
        return {}
    return {stage["stage"]: boot["started"] + stage["at"] - switched_on for stage in boot["stages"]}


def _cells(times: Sequence[Times], stage: str, before: str) -> list[str]:
    at = _median(times, stage)
    return [number(at), number(at - (_median(times, before) if before else 0.0))]


def _median(times: Sequence[Times], stage: str) -> float:
    return statistics.median(each[stage] for each in times)


def main() -> int:
    """Measure and show."""
    parser = argparse.ArgumentParser(prog="python -m bench.boot", description=__doc__)
    parser.add_argument("--pcs", type=int, action="append", metavar="N", help=f"so many at once (1, then {MANY})")
    parser.add_argument("--repetitions", type=int, default=1, metavar="N")
    parser.add_argument("--images", type=Path, help="a directory of releases; else the demo's image, built if need be")
    arguments = parser.parse_args()
    interrupt_once()
    found = measure(arguments.repetitions, arguments.pcs or (1, MANY), arguments.images)
    for each in found.tables:
        print(text(each))
    print(machine())
    return 0


if __name__ == "__main__":
    sys.exit(main())
