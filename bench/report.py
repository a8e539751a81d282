"""The tables of the benchmarks, for a terminal and for docs/performance.md. PURE, but for `write`."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from bench.goals import GOALS, Measured
from bench.measure import OURS, Result
from bench.svg import Chart, render

BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"
"""The bench writes what is between these lines of docs/performance.md."""

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


def markdown(table: Table) -> str:
    """The table in Markdown."""
    rule = ["---" if _is_text(i, table) else "---:" for i in range(len(table.columns))]
    lines = ["| " + " | ".join(row) + " |" for row in (table.columns, rule, *table.rows)]
    return "\n".join([*([f"### {table.title}", ""] if table.title else []), *lines]) + "\n"


def page(findings: Findings, machine: str, directory: str) -> str:
    """The text between the marks: machine, goals, tables, charts (in `directory` beside the page), remarks."""
    most = max((len(runs) for result in findings.results for runs in result.samples.values()), default=0)
    parts = [
        f"Measured on: {machine}; {most} repetitions, and fewer for the points of curves.\n",
        markdown(goals(findings.measured)),
        "### Measured\n",
    ]
    parts += [markdown(table) for table in tables(findings)]
    parts += [f"![{chart.title}]({directory}/{name}.svg)\n" for name, chart in findings.charts.items()]
    parts += [f"- {remark}" for remark in findings.remarks]
    return "\n".join(parts).rstrip("\n") + "\n"


def replaced(document: str, page: str) -> str:
    """The document with `page` between its marks; ValueError unless it has each mark once, in order."""
    if document.count(BEGIN) != 1 or document.count(END) != 1 or document.index(BEGIN) > document.index(END):
        raise ValueError(f"the document needs the lines {BEGIN} and {END}")
    before, rest = document.split(BEGIN)
    return f"{before}{BEGIN}\n\n{page}\n{END}{rest.split(END)[1]}"


def write(document: Path, findings: Findings, machine: str) -> None:
    """Replace the tables of the document, and the charts in the directory of the same name beside it."""
    directory = document.with_suffix("")
    directory.mkdir(exist_ok=True)
    for name, chart in findings.charts.items():
        (directory / f"{name}.svg").write_text(render(chart), encoding="utf-8")
    new = replaced(document.read_text(encoding="utf-8"), page(findings, machine, directory.name))
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
