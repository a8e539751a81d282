"""The tables of the benchmarks, for a terminal and for docs/performance.md. PURE, but for `write`."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from bench.goals import GOALS, Measured
from bench.measure import OURS, Result
from bench.svg import Chart, render

PARTS = {
    "tftp": "TFTP",
    "dhcp": "proxyDHCP",
    "http": "HTTP",
    "figures": "Small figures",
    "storm": "Boot storm",
    "heartbeats": "Heartbeats",
    "control": "The page",
    "boot": "Power-on to computing",
    "image": "Builds of the image",
}
"""The parts of the bench, with their headings in docs/performance.md."""

_RATIOS = 2
"""How many figures of a contest are shown with ratios."""


@dataclass(frozen=True)
class Table:
    """A title, column names and cells."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass
class Findings:
    """The findings of one part of the bench: contests; charts by file name; other tables; remarks; single figures."""

    results: list[Result] = field(default_factory=list)
    charts: dict[str, Chart] = field(default_factory=dict)
    tables: list[Table] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)

    def add(self, other: "Findings") -> None:
        """Add the findings of another part."""
        self.results += other.results
        self.charts |= other.charts
        self.tables += other.tables
        self.remarks += other.remarks
        self.figures |= other.figures

    @property
    def measured(self) -> Measured:
        """What the goals are judged by."""
        return Measured({result.contest.title: result for result in self.results}, self.figures)


def mark(section: str) -> str:
    """The line before a section of docs/performance.md that the bench writes: the goals, each part, the end."""
    return f"<!-- bench: {section} -->"


def tables(findings: Findings) -> list[Table]:
    """The contests, those with the same figures in one table, then the other tables."""
    found = []
    for names, group in groupby(findings.results, lambda result: [f.name for f in result.contest.figures]):
        results = list(group)
        ratios = [f"x {figure.name}" for figure in results[0].compared[:_RATIOS]]
        rows = [row for result in results for row in _rows(result)]
        shown = 2 + len(names) + (len(ratios) if any(result.peers for result in results) else 0)
        found.append(Table("", ["work", "server", *names, *ratios][:shown], [row[:shown] for row in rows]))
    return [*found, *findings.tables]


def goals(measured: Measured, *, whole: bool = True) -> Table:
    """Each goal, its measurement, and how it was met; without `whole`, only those that were measured."""
    rows = []
    for goal in GOALS:
        value = goal.measure(measured)
        if value is None and not whole:
            continue
        limits = ["" if limit is None else f"{limit:g}" for limit in (goal.must, goal.after)]
        rows.append([goal.work, goal.figure, *limits, "" if value is None else number(value), goal.outcome(measured)])
    return Table("Goals", ["work", "figure", "must", "after", "measured", "goal"], rows)


def text(table: Table) -> str:
    """The table in columns, for a terminal."""
    cells = [table.columns, *table.rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(table.columns))]
    lines = [
        "  ".join(_aligned(cell, width, i) for i, (cell, width) in enumerate(zip(row, widths, strict=True)))
        for row in cells
    ]
    lines.insert(1, "-" * len(lines[0]))
    return "\n".join([*([table.title] if table.title else []), *(line.rstrip() for line in lines)]) + "\n"


def markdown(table: Table, under: str = "") -> str:
    """The table in Markdown; `under` is the heading of its section, if it has one."""
    rule = ["---" if _is_text(i, table) else "---:" for i in range(len(table.columns))]
    lines = ["| " + " | ".join(row) + " |" for row in (table.columns, rule, *table.rows)]
    heading = [f"{'####' if under else '###'} {table.title}", ""] if table.title not in ("", under) else []
    return "\n".join([*heading, *lines]) + "\n"


def section(name: str, findings: Findings, machine: str, directory: str) -> str:
    """One part of the bench for the page: machine, tables, charts (in `directory` beside the page), remarks."""
    most = max((len(runs) for result in findings.results for runs in result.samples.values()), default=0)
    often = f"; {most} repetitions, and fewer for the points of curves" if most else ""
    parts = [f"### {PARTS[name]}\n", f"{wrapped(f'Measured on: {machine}{often}.')}\n"]
    parts += [markdown(table, under=PARTS[name]) for table in tables(findings)]
    parts += [f"![{chart.title}]({directory}/{name}.svg)\n" for name, chart in findings.charts.items()]
    parts += [wrapped(f"- {remark}", "  ") for remark in findings.remarks]
    return "\n".join(parts).rstrip("\n") + "\n"


def wrapped(text: str, indent: str = "") -> str:
    """A paragraph with lines of 120 characters, as all of our pages have."""
    return textwrap.fill(text, 120, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def kept(measured: Measured, old: str) -> Table:
    """The goals: what was measured now, and else what the table in `old` says."""
    lines = (line.strip("| ").split(" | ") for line in old.splitlines() if line.startswith("|"))
    before = {(cells[0], cells[1].strip()): cells[4] for cells in lines if len(cells) == 6}
    table = goals(measured)
    rows = []
    for goal, row in zip(GOALS, table.rows, strict=True):
        known = before.get((goal.work, goal.figure), "").replace(",", "").strip()
        rows.append([*row[:4], number(float(known)), goal.judge(float(known))] if known and not row[4] else row)
    return Table(table.title, table.columns, rows)


def replaced(document: str, parts: Mapping[str, Findings], machine: str, directory: str) -> str:
    """The document with these parts anew, and the goals that they decide; all else is as it was. ValueError unless the
    document has the mark of each section once, in order."""
    names = ["goals", *PARTS, "end"]
    marks = [mark(name) for name in names]
    positions = [document.find(each) for each in marks]
    if min(positions) < 0 or positions != sorted(positions) or any(document.count(each) != 1 for each in marks):
        raise ValueError(f"the document needs the lines {', '.join(marks)}")
    whole = Findings()
    for findings in parts.values():
        whole.add(findings)
    bounds = zip(positions, marks, positions[1:], strict=False)
    old = {name: document[at + len(each) : end] for name, (at, each, end) in zip(names[:-1], bounds, strict=True)}
    new = {name: f"\n\n{section(name, findings, machine, directory)}\n" for name, findings in parts.items()}
    new["goals"] = f"\n\n{markdown(kept(whole.measured, old['goals']))}\n"
    middle = "".join(mark(name) + new.get(name, text) for name, text in old.items())
    return document[: positions[0]] + middle + document[positions[-1] :]


def write(document: Path, parts: Mapping[str, Findings], machine: str) -> None:
    """Replace these parts of the document, and their charts in the directory of the same name beside it."""
    directory = document.with_suffix("")
    directory.mkdir(exist_ok=True)
    for findings in parts.values():
        for name, chart in findings.charts.items():
            (directory / f"{name}.svg").write_text(render(chart), encoding="utf-8")
    new = replaced(document.read_text(encoding="utf-8"), parts, machine, directory.name)
    document.write_text(new, encoding="utf-8")


def number(value: float) -> str:
    """Three significant digits."""
    if not math.isfinite(value):
        return "-"
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


def curve(results: Mapping[float, Result], name: str, title: str, x: str, figure: int) -> dict[str, Chart]:
    """The chart of one figure of contests that differ in a number, ours first."""
    lines: dict[str, list[tuple[float, float]]] = {}
    label = ""
    for at, result in results.items():
        chosen = result.contest.figures[figure]
        label = chosen.name
        for contestant in sorted(result.samples, key=lambda each: each != OURS):
            lines.setdefault(contestant, []).append((at, result.median(contestant, chosen)))
    return {name: Chart(title, x, label, lines)}


def _rows(result: Result) -> list[list[str]]:
    rows = []
    compared = result.compared[:_RATIOS]
    for position, contestant in enumerate(result.contest.contestants):
        figures = [number(result.median(contestant.name, figure)) for figure in result.contest.figures]
        ratios = [""] * len(compared)
        if contestant.name in result.peers and OURS in result.samples:
            ratios = [number(result.ratio(contestant.name, figure)) for figure in compared]
        rows.append([result.contest.title if position == 0 else "", contestant.name, *figures, *ratios])
    return rows


def _is_text(column: int, table: Table) -> bool:
    return any(row[column][:1].isalpha() for row in table.rows)


def _aligned(cell: str, width: int, column: int) -> str:
    return cell.ljust(width) if column < 2 else cell.rjust(width)
