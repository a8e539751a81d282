"""`python -m bench.soak`: minutes of mixed load; do memory, disk and descriptors stay flat? `make soak` runs it.

Rooms of PCs boot in rounds, while others send nonsense, leave transfers half open and break connections, attackers
flood the box (bench/attackers.py), and the administrator edits the allowlist and reloads. Not for CI: the tests show as
much as a minute of this.
"""

import argparse
import asyncio
import json
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.attackers import ATTACKED, Attackers
from bench.box import MB, BenchBox, box_and_crowd
from bench.crowd import Crowd
from bench.flatness import Judgement, Vitals, judge
from bench.measure import machine
from bench.mischief import Mischief
from bench.pc import Files
from bench.report import Table, text
from bench.site import WORK
from bench.storm import storm
from bench.svg import Chart, render
from tests.netns.scripted_pc import LOADERS
from tests.room.interruption import interrupt_once

PCS = 200
"""PCs per round. Twice as many addresses belong to the attackers."""

_SAMPLE_SECONDS = 3.0
_BETWEEN_ROUNDS = 2.0
# Half-open TFTP transfers time out after a minute, and kept connections as well.
_QUIET_SECONDS = 100.0
_ROWS = 15


async def soak(box: BenchBox, crowd: Crowd, files: Files, seconds: float) -> tuple[list[Vitals], Judgement]:
    """Load the box for `seconds`, then leave it alone until its transfers are over; returns samples and judgement."""
    pid, rounds, failures = box.pid, 0, list[str]()
    files_of_box = [box.log, *(box.data / "registry" / f"registry.sqlite3{suffix}" for suffix in ("", "-wal"))]
    found = [Vitals.of(pid, files_of_box, 0.0)]
    begun = time.monotonic()

    async def watch() -> None:
        while True:
            await asyncio.sleep(_SAMPLE_SECONDS)
            found.append(Vitals.of(pid, files_of_box, time.monotonic() - begun))

    async def boots() -> None:
        nonlocal rounds
        while time.monotonic() - begun < seconds:
            with crowd:
                tally = (await storm(box, crowd, files, rounds * PCS + 1, pcs=PCS, in_step=False)).tally
            rounds += 1
            failures.extend(f"round {rounds}: {why}" for why in tally.failures)
            await asyncio.sleep(_BETWEEN_ROUNDS)

    watching = asyncio.create_task(watch())
    mischief, attackers = Mischief(box, crowd, crowd.places[PCS : 3 * PCS]), Attackers(crowd, crowd.places[3 * PCS :])
    making = asyncio.gather(mischief.make(), attackers.make())
    try:
        await boots()
    finally:
        making.cancel()
        await asyncio.gather(making, return_exceptions=True)
    loaded = time.monotonic() - begun
    await asyncio.sleep(_QUIET_SECONDS)
    watching.cancel()
    found.append(Vitals.of(pid, files_of_box, time.monotonic() - begun))
    did = {"rounds": rounds, "boots": rounds * PCS, **mischief.did, **attackers.did}
    complaints = [line["event"] for line in box.complaints(0)]
    return found, judge(found, loaded, failures, complaints, did)


def table(found: list[Vitals]) -> Table:
    """Some of the samples, evenly spread, including the first and the last."""
    places = sorted({round(i * (len(found) - 1) / (_ROWS - 1)) for i in range(_ROWS)})
    rows = [
        [
            *(f"{v.at:.0f}", f"{v.rss / 1e6:.1f}", f"{v.disk / 1e6:.1f}"),
            *(str(v.descriptors), str(v.sockets), str(v.threads)),
        ]
        for v in (found[place] for place in places)
    ]
    return Table("Soak", ["s", "RSS MB", "disk MB", "descriptors", "sockets", "threads"], rows)


def main() -> int:
    """Soak and show; exit code 1 when it is not flat."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    arguments = parser.parse_args()
    interrupt_once()
    with (
        TemporaryDirectory() as directory,
        box_and_crowd(Path(directory), 3 * PCS + ATTACKED, kernel=MB, initrd=2 * MB) as (box, crowd, image),
    ):
        files = Files.of(LOADERS / "snponly.efi", image.path)
        found, judgement = asyncio.run(soak(box, crowd, files, arguments.seconds))
    print(text(table(found)))
    print("\n".join(judgement.lines))
    print(machine())
    where = WORK / "results"
    where.mkdir(parents=True, exist_ok=True)
    line = [(v.at, v.rss / 1e6) for v in found[1:]]
    (where / "soak.svg").write_text(render(Chart("Memory in the soak", "s", "RSS MB", {"netboot-appliance": line})))
    (where / "soak.json").write_text(json.dumps({"machine": machine(), **judgement.as_json(found)}, indent=1))
    return int(not judgement.flat)


if __name__ == "__main__":
    sys.exit(main())
