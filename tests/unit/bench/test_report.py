"""Goals and tables, from results made by hand."""

import re
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench import report
from bench.goals import GOALS, Goal, GoalOutcome, Measured, alone, ratio_to_best, worst
from bench.measure import CPU, OURS, SPEED, Contest, Contestant, Figure, Result, Sample, extra
from bench.report import Findings, Table
from bench.svg import Chart, render

FAILURES = extra("failures", "failures")
P99 = extra("failures", "transfer p99 ms")


def made(title: str, costs: Mapping[str, float], figures: tuple[Figure, ...] = (CPU, SPEED)) -> Result:
    """A contest of one repetition, from each contestant's CPU s/GB; its speed falls with its cost."""
    samples = {name: [Sample(10**9, cost, cost, {"failures": cost})] for name, cost in costs.items()}
    return Result(Contest(title, [Contestant(name, lambda: Sample(1, 1, 1)) for name in costs], figures), samples)


def outcome(value: float, must: float | None, after: float | None, *, at_most: bool = False) -> GoalOutcome:
    goal = Goal("work", "figure", must, after, alone("x"), at_most)
    return goal.outcome(Measured({}, {"x": value}))


def test_outcomes() -> None:
    assert [outcome(value, 2, 3) for value in (1.9, 2, 2.9, 3)] == [
        GoalOutcome.MISSED,
        GoalOutcome.MUST,
        GoalOutcome.MUST,
        GoalOutcome.REACHED,
    ]
    assert [outcome(value, 1, 0.6, at_most=True) for value in (1.1, 1, 0.6)] == [
        GoalOutcome.MISSED,
        GoalOutcome.MUST,
        GoalOutcome.REACHED,
    ]
    assert [outcome(value, 0, None, at_most=True) for value in (0, 1)] == [GoalOutcome.REACHED, GoalOutcome.MISSED]
    assert [outcome(value, None, 5) for value in (4, 5)] == [GoalOutcome.MISSED, GoalOutcome.REACHED]


def test_an_unmeasured_goal_is_shown_as_such() -> None:
    rows = report.goals(Measured({}, {})).rows
    assert len(rows) == len(GOALS)
    assert {row[-1] for row in rows} == {GoalOutcome.NOT_MEASURED}
    assert report.goals(Measured({}, {}), whole=False).rows == []


def test_a_goal_finds_its_contest_by_the_beginning_of_its_title() -> None:
    result = made("TFTP windowsize 16, 5 clients, 0.1 % loss, MTU 1500", {OURS: 1, "atftpd": 4}, (SPEED, CPU, P99))
    rows = report.goals(Findings([result]).measured, whole=False).rows
    assert [(row[1], row[4], row[5]) for row in rows if "against" in row[0]] == [
        ("MB/s", "4.00", GoalOutcome.REACHED),
        ("CPU", "4.00", GoalOutcome.MISSED),
    ]


def test_the_best_peer_counts() -> None:
    measured = Findings([made("one", {OURS: 2, "slow": 8, "fast": 1})]).measured
    assert ratio_to_best("one", "MB/s")(measured) == 0.5


def test_one_failure_in_any_repetition_counts() -> None:
    result = made("one", {OURS: 0}, (FAILURES,))
    samples = {OURS: [Sample(1, 1, 1, {"failures": count}) for count in (0, 0, 1)]}
    assert worst("one", "failures")(Findings([Result(result.contest, samples)]).measured) == 1


def test_contests_with_the_same_figures_share_a_table() -> None:
    results = [made("one", {OURS: 1, "peer": 3}), made("two", {OURS: 2, "peer": 3}), made("three", {OURS: 2}, (CPU,))]
    first, second = report.tables(Findings(results))
    assert first.columns == ["work", "server", "CPU s/GB", "MB/s", "x CPU s/GB", "x MB/s"]
    assert first.rows == [
        ["one", OURS, "1.00", "1,000", "", ""],
        ["", "peer", "3.00", "333", "3.00", "3.00"],
        ["two", OURS, "2.00", "500", "", ""],
        ["", "peer", "3.00", "333", "1.50", "1.50"],
    ]
    assert (second.columns, second.rows) == (["work", "server", "CPU s/GB"], [["three", OURS, "2.00"]])


def test_numbers_have_three_significant_digits() -> None:
    numbers = (0, 0.0123, 0.999, 1.234, 45.67, 123.4, 86_900, float("inf"))
    assert [report.number(n) for n in numbers] == ["0", "0.0123", "0.999", "1.23", "45.7", "123", "86,900", "-"]


def test_a_table_for_a_terminal_and_for_a_page() -> None:
    table = Table("Title", ["work", "server", "n"], [["a", "b", "1"], ["", "longer", "22"]])
    assert report.text(table) == "Title\nwork  server   n\n----------------\na     b        1\n      longer  22\n"
    assert report.markdown(table) == (
        "### Title\n\n| work | server | n |\n| --- | --- | ---: |\n| a | b | 1 |\n|  | longer | 22 |\n"
    )


DOCUMENT = Path(__file__).parents[3] / "docs" / "performance.md"


def empty_page() -> str:
    marks = [report.mark(name) for name in ("goals", *report.PARTS, "end")]
    return "# Before\n" + "\nold\n".join(marks) + "\nAfter\n"


def test_only_the_parts_that_were_measured_are_replaced(tmp_path: Path) -> None:
    document = tmp_path / "performance.md"
    document.write_text(empty_page())
    chart = Chart("Cost", "clients", "CPU s/GB", {OURS: [(1, 2), (10, 3)]})
    findings = Findings([made("one", {OURS: 1, "peer": 3})], charts={"cost": chart}, remarks=["A remark."])
    for _ in range(2):
        report.write(document, {"tftp": findings}, "this machine, TCP cubic")
    text = document.read_text()
    assert text.startswith(f"# Before\n{report.mark('goals')}\n\n### Goals\n\n| work |")
    (tftp,) = re.findall(r"<!-- bench: tftp -->\n(.*)<!-- bench: dhcp -->", text, re.DOTALL)
    assert tftp.startswith("\n### TFTP\n\nMeasured on: this machine, TCP cubic; 1 repetitions")
    assert tftp.endswith("![Cost](performance/cost.svg)\n\n- A remark.\n\n")
    assert text.count("| one |") == 1
    assert text.count("\nold\n") == len(report.PARTS) - 1
    assert text.endswith(f"{report.mark('end')}\nAfter\n")
    assert (tmp_path / "performance" / "cost.svg").read_text() == render(chart)


def test_goals_of_other_parts_keep_their_figures(tmp_path: Path) -> None:
    fresh = made("proxyDHCP, PCs never seen before", {OURS: 119}, (extra("failures", "CPU us/reply"),))
    scripts = made("HTTP, 100 clients x 20 boot scripts", {OURS: 216}, (extra("failures", "CPU us/request"),))
    page = empty_page()
    for part, result in (("http", scripts), ("dhcp", fresh)):
        page = report.replaced(page, {part: Findings([result])}, "x", "performance")
    assert "| proxyDHCP, PCs never seen before | CPU us/reply | 120 |  | 119 | reached |" in page
    assert "| HTTP, 100 clients x 20 boot scripts | CPU us/request | 120 |  | 216 | missed |" in page


def test_the_page_has_its_marks_and_loses_nothing() -> None:
    assert report.replaced(DOCUMENT.read_text(), {}, "x", "performance") == DOCUMENT.read_text()


def test_a_page_without_marks_is_left_alone() -> None:
    page = empty_page()
    for text in ("", page.replace(report.mark("http"), ""), page + page, page.replace("bench: end", "bench: goals")):
        with pytest.raises(ValueError, match="needs the lines"):
            report.replaced(text, {}, "x", "performance")


def test_long_lines_of_the_page_are_wrapped() -> None:
    remarks = ["a remark " * 30]
    text = report.section("storm", Findings(remarks=remarks), "a machine " * 30, "performance")
    assert max(map(len, text.splitlines())) <= 120


def test_a_curve_takes_one_figure_of_each_contest() -> None:
    results: dict[float, Result] = {1: made("a", {"peer": 4, OURS: 2}), 10: made("b", {"peer": 2, OURS: 1})}
    (chart,) = report.curve(results, "cost", "Cost", "clients", 0).values()
    assert chart.lines == {OURS: [(1, 2), (10, 1)], "peer": [(1, 4), (10, 2)]}
    assert list(chart.lines) == [OURS, "peer"]
    assert chart.y == "CPU s/GB"


def test_a_chart_shows_positive_values_only() -> None:
    lines: dict[str, list[tuple[float, float]]]
    lines = {OURS: [(1, 0.5), (1000, 50)], "none": [(1, float("inf")), (2, 0)], "a<b": [(10, 5)]}
    root = ElementTree.fromstring(render(Chart("T", "x", "y", lines)))
    space = "{http://www.w3.org/2000/svg}"
    (first, second) = root.findall(f"{space}polyline")
    points = [tuple(map(float, point.split(","))) for point in first.attrib["points"].split()]
    assert points[0][0] < points[1][0]
    assert points[0][1] > points[1][1]
    assert len(root.findall(f"{space}circle")) == 3
    texts = [element.text for element in root.findall(f"{space}text")]
    assert {"T", "x", "y", OURS, "a<b", "1", "1,000"} <= set(texts)
    assert "none" not in texts
    assert second.attrib["points"].count(",") == 1


def test_a_chart_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing to draw"):
        render(Chart("T", "x", "y", {"a": [(0, 1)]}))
