"""`python -m bench.run`: all benchmarks, one after another; results go to the terminal and to results.json.

Run as root: the servers run in network namespaces. Needs the packages that `make bench` installs.
"""

import argparse
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import boot, control, dhcp, figures, heartbeats, http, image, report, storm, tftp, together
from bench.measure import Contest, Result, finite, machine, rotate
from bench.report import Findings, Table
from bench.site import CUBIC, LOAD_CORE, ROOT, WORK, Site, congestion_control
from bench.svg import Chart, render
from tests.room.interruption import interrupt_once

DOCUMENT = ROOT / "docs" / "performance.md"


@dataclass(frozen=True)
class Plan:
    """How much is measured. `matching`: only contests that have this in their titles. `before`: a checkout to compare
    with."""

    repetitions: int
    seconds: float
    quick: bool
    matching: str
    before: Path | None

    def measure(self, contests: Sequence[Contest]) -> list[Result]:
        """The results of the wanted contests."""
        wanted = [contest for contest in contests if self.matching.lower() in contest.title.lower()]
        return rotate(wanted, self.repetitions, _say)


def _tftp(plan: Plan) -> Findings:
    with Site() as site, tftp.servers(site, plan.before) as servers:
        found = Findings(plan.measure(tftp.contests(servers, plan.seconds)))
        if plan.matching or plan.before:
            return found
        known = {result.contest.title: result for result in found.results}
        points: dict[float, Result] = {}
        for clients, contest in tftp.curve(servers, plan.seconds).items():
            (points[clients],) = [known[contest.title]] if contest.title in known else rotate([contest], 2, _say)
        for server, falls in tftp.fallbacks(servers).items():
            if falls:
                found.remarks.append(f"{server} has no windowsize (RFC 7440): asked for one, it goes on in lock-step.")
    title = "TFTP in lock-step, by the number of clients"
    found.results += [result for result in points.values() if result.contest.title not in known]
    found.charts |= report.curve(points, "tftp-cpu", f"{title}: cost", "clients", 0)
    found.charts |= report.curve(points, "tftp-speed", f"{title}: speed", "clients", 1)
    return found


def _dhcp(plan: Plan) -> Findings:
    with dhcp.segments(before=plan.before) as segments:
        found = Findings(plan.measure(dhcp.contests(segments)))
    found.results.sort(key=lambda result: result.contest.title != dhcp.FRESH)
    if plan.matching or plan.before:
        return found
    points = dhcp.curve(dhcp.CURVE[:3] if plan.quick else dhcp.CURVE)
    columns = {"ranges": "ranges", "start_s": "start s", "answers_s": "first answer s", "rss_mb": "RSS MB"}
    columns |= {"cpu_us_reply": "CPU us/reply", "replies_s": "replies/s"}
    rows = [[report.number(point[key]) for key in columns] for point in points]
    found.tables.append(Table("proxyDHCP by the number of allowed ranges", list(columns.values()), rows))
    line = [(point["ranges"], point["cpu_us_reply"]) for point in points]
    title = "proxyDHCP, by the number of allowed ranges: cost"
    found.charts["dhcp-cpu"] = Chart(title, "ranges", "CPU us/reply", {"netboot-appliance": line})
    return found


def _http(plan: Plan) -> Findings:
    with Site() as site, http.sides(site) as sides:
        found = Findings(plan.measure(http.contests(sides)))
        with together.pairs(sides) as pairs:
            found.results += plan.measure(together.contests(pairs))
    return found


def _figures(plan: Plan) -> Findings:
    return Findings() if plan.matching else figures.measure()


def _storm(plan: Plan) -> Findings:
    if plan.matching:
        return Findings()
    return storm.measure(50) if plan.quick else storm.measure()


def _heartbeats(plan: Plan) -> Findings:
    return Findings() if plan.matching else heartbeats.measure(quick=plan.quick)


def _control(plan: Plan) -> Findings:
    return Findings() if plan.matching else control.measure(quick=plan.quick)


def _boot(plan: Plan) -> Findings:
    if plan.matching:
        return Findings()
    return boot.measure(1, (1,)) if plan.quick else boot.measure(min(plan.repetitions, boot.REPETITIONS))


def _image(plan: Plan) -> Findings:
    return Findings() if plan.matching else image.measure(quick=plan.quick)


PARTS: dict[str, Callable[[Plan], Findings]] = {
    "tftp": _tftp,
    "dhcp": _dhcp,
    "http": _http,
    "figures": _figures,
    "storm": _storm,
    "heartbeats": _heartbeats,
    "control": _control,
    "boot": _boot,
    "image": _image,
}

_began = time.monotonic()


def _say(line: str) -> None:
    print(f"{time.monotonic() - _began:6.1f} s  {line}", file=sys.stderr, flush=True)


def main() -> int:
    """Measure and show; exit code 1 when a benchmark failed, 2 for wrong arguments."""
    parser = argparse.ArgumentParser(prog="python -m bench.run", description=__doc__)
    parser.add_argument("--only", choices=PARTS, action="append", help="this part alone (may be given again)")
    parser.add_argument("--matching", default="", metavar="TEXT", help="only contests with TEXT in their titles")
    parser.add_argument(
        "--before",
        type=Path,
        metavar="CHECKOUT",
        help="compare with the box of another commit too (tftp, dhcp; `make venv` there)",
    )
    parser.add_argument("--repetitions", type=int, default=5, metavar="N")
    parser.add_argument("--quick", action="store_true", help="one short repetition: whether it works, not how fast")
    parser.add_argument(
        "--write", action="store_true", help=f"write the parts that were measured into {DOCUMENT.relative_to(ROOT)}"
    )
    arguments = parser.parse_args()
    if arguments.repetitions < 1:
        parser.error("--repetitions: 1 or more")
    if arguments.before and not (arguments.before / ".venv/bin/netboot-appliance").exists():
        parser.error(f"--before: {arguments.before} has no .venv: run make venv there")
    if arguments.write and (arguments.matching or arguments.quick or arguments.before):
        parser.error("--write needs whole parts: leave out --matching, --before and --quick")
    plan = Plan(
        1 if arguments.quick else arguments.repetitions,
        0.4 if arguments.quick else tftp.SECONDS,
        arguments.quick,
        arguments.matching,
        arguments.before and arguments.before.resolve(),
    )
    interrupt_once()
    tcp = congestion_control()
    here = f"{machine()}, TCP {tcp}"
    _say(here)
    if tcp != CUBIC:
        _say(f"this machine does not give out {CUBIC}: do not compare HTTP's figures with those of other machines")
    os.sched_setaffinity(0, {LOAD_CORE})  # measuring must not disturb the servers
    found, parts = Findings(), dict[str, Findings]()
    failed = False
    for name in arguments.only or PARTS:
        _say(name)
        try:
            parts[name] = PARTS[name](plan)
            found.add(parts[name])
        except Exception:  # show what the other parts took minutes to measure anyway
            traceback.print_exc()
            failed = True
    _show(found, here, whole=not arguments.only and not arguments.matching and not arguments.before)
    if arguments.write and not failed:
        report.write(DOCUMENT, parts, here)
    return int(failed)


def _show(found: Findings, here: str, *, whole: bool) -> None:
    print(f"Measured on: {here}\n")
    goals = report.goals(found.measured, whole=whole)
    for table in (*report.tables(found), goals):
        print(report.text(table))
    for remark in found.remarks:
        print(remark)
    directory = WORK / "results"
    directory.mkdir(parents=True, exist_ok=True)
    for name, chart in found.charts.items():
        (directory / f"{name}.svg").write_text(render(chart), encoding="utf-8")
    values = {
        "machine": here,
        "contests": [result.as_json() for result in found.results],
        "figures": {name: finite(value) for name, value in found.figures.items()},
        "charts": {name: chart.lines for name, chart in found.charts.items()},
        "tables": [{"title": t.title, "columns": t.columns, "rows": t.rows} for t in (*found.tables, goals)],
    }
    (WORK / "results.json").write_text(json.dumps(values, indent=1), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
