"""What the benchmarks must show: for each goal the minimum, the target and the measurement. PURE.

A ratio says how many times better ours is than its peer: the median of paired runs.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from bench.measure import OURS, Figure, Result

Measure = Callable[["Measured"], float | None]


class GoalOutcome(StrEnum):
    """How a goal was met."""

    REACHED = "reached"
    MUST = "must, not more"
    MISSED = "missed"
    NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Measured:
    """All results by title, and single figures by name."""

    results: Mapping[str, Result]
    figures: Mapping[str, float]

    def result(self, beginning: str) -> Result | None:
        """The contest whose title begins with this."""
        return next((result for title, result in self.results.items() if title.startswith(beginning)), None)


@dataclass(frozen=True)
class Goal:
    """One line of the table. `after` is the target, None: only the minimum counts; `must` is the minimum, None: there
    is none. `at_most`: smaller is better."""

    work: str
    figure: str
    must: float | None
    after: float | None
    measure: Measure
    at_most: bool = False

    def outcome(self, measured: Measured) -> GoalOutcome:
        """How it was met."""
        return self.judge(self.measure(measured))

    def judge(self, value: float | None) -> GoalOutcome:
        """How this value meets it."""
        if value is None:
            return GoalOutcome.NOT_MEASURED
        if self._met(value, self.after) and self._met(value, self.must):
            return GoalOutcome.REACHED
        return GoalOutcome.MUST if self.must is not None and self._met(value, self.must) else GoalOutcome.MISSED

    def _met(self, value: float, limit: float | None) -> bool:
        return limit is None or (value <= limit if self.at_most else value >= limit)


def ratio(beginning: str, peer: str, figure: str) -> Measure:
    """How many times better ours is than `peer` in the contest whose title begins with this."""
    return _of(beginning, figure, lambda result, chosen: result.ratio(peer, chosen))


def ratio_to_best(beginning: str, figure: str) -> Measure:
    """The same, compared with the best peer there."""
    return _of(beginning, figure, lambda result, chosen: min(result.ratio(peer, chosen) for peer in result.peers))


def ours(beginning: str, figure: str) -> Measure:
    """The median of our own figure."""
    return _of(beginning, figure, lambda result, chosen: result.median(OURS, chosen))


def worst(beginning: str, figure: str) -> Measure:
    """The greatest of our own figure in all repetitions."""
    return _of(beginning, figure, lambda result, chosen: max(result.values(OURS, chosen)))


def alone(name: str) -> Measure:
    """A single figure."""
    return lambda measured: measured.figures.get(name)


def _of(beginning: str, figure: str, take: Callable[[Result, Figure], float]) -> Measure:
    def measure(measured: Measured) -> float | None:
        result = measured.result(beginning)
        if result is None:
            return None
        return take(result, next(each for each in result.contest.figures if each.name == figure))

    return measure


def _lock_step() -> list[Goal]:
    goals = []
    for clients in (100, 500):
        title, work = f"TFTP lock-step, {clients} clients", f"TFTP lock-step, {clients} clients, against"
        goals += [
            Goal(f"{work} dnsmasq", "CPU", 1.15, 1.35, ratio(title, "dnsmasq", "CPU s/GB")),
            Goal(f"{work} dnsmasq", "MB/s", 1.0, None, ratio(title, "dnsmasq", "MB/s")),
            Goal(f"{work} tftpd-hpa", "CPU", 4.5, 6, ratio(title, "tftpd-hpa", "CPU s/GB")),
        ]
    title = "TFTP lock-step, 1 client"
    return [*goals, Goal(f"{title}, against the best", "MB/s", 0.95, 1.0, ratio_to_best(title, "MB/s"))]


def _windows() -> list[Goal]:
    goals = []
    for clients, window, must, after in ((20, 4, 2.5, 3.5), (100, 4, 2.5, 3.5), (100, 16, 3.3, 5), (100, 64, 3.3, 5)):
        title = f"TFTP windowsize {window}, {clients} clients"
        goals.append(Goal(f"{title}, against atftpd", "CPU", must, after, ratio(title, "atftpd", "CPU s/GB")))
    lossy = "TFTP windowsize 16, 5 clients, 0.1 % loss"
    return [
        *goals,
        Goal(f"{lossy}, against atftpd", "MB/s", 2.5, None, ratio(lossy, "atftpd", "MB/s")),
        Goal(f"{lossy}, against atftpd", "CPU", None, 5, ratio(lossy, "atftpd", "CPU s/GB")),
        Goal(lossy, "transfer p99, ms", 400, None, ours(lossy, "transfer p99 ms"), at_most=True),
    ]


def _others() -> list[Goal]:
    fresh, together = "proxyDHCP, PCs never seen before", "TFTP, 20 lock-step clients, while"
    copies = "proxyDHCP, copies answered from memory"
    requests, scripts = "TFTP 500 simultaneous requests", "HTTP, 100 clients x 20 boot scripts"
    return [
        Goal(fresh, "CPU us/reply", 120, None, ours(fresh, "CPU us/reply"), at_most=True),
        Goal(f"{copies}, against dnsmasq", "replies/s", 2, 3, ratio(copies, "dnsmasq", "replies/s")),
        Goal(f"{copies}, against dnsmasq", "CPU", 1.5, 2.5, ratio(copies, "dnsmasq", "CPU us/reply")),
        Goal("a foreign MAC rejected", "us of Python", 1, 0.6, alone("foreign_us"), at_most=True),
        *(
            Goal(f"{title}, against nginx", "CPU", 0.95, 1.1, ratio(title, "nginx", "CPU s/GB"))
            for title in ("HTTP, 10 clients x 200 MB", "HTTP, 100 clients x 40 MB")
        ),
        Goal(scripts, "CPU us/request", 120, None, ours(scripts, "CPU us/request"), at_most=True),
        Goal(
            "TFTP while HTTP is saturated, the worst run",
            "p99 / alone",
            2,
            1.5,
            worst(together, "p99 together/alone"),
            at_most=True,
        ),
        Goal("heap of a TFTP session", "kB", 1, 0.7, alone("heap_kb"), at_most=True),
        Goal("file descriptors of a TFTP session", "", 0, None, alone("descriptors"), at_most=True),
        Goal("start to all sockets bound", "s", 0.6, 0.4, alone("start_s"), at_most=True),
        Goal("500 simultaneous requests", "failures", 0, None, worst(requests, "failures"), at_most=True),
        Goal("500 simultaneous requests", "retransmits", 0, None, worst(requests, "retransmits"), at_most=True),
        Goal("a boot storm of 1,000 PCs", "failures", 0, None, alone("storm_failures"), at_most=True),
        Goal("heartbeats of 5,000 PCs", "failures", 0, None, alone("heartbeats_failures"), at_most=True),
        Goal("heartbeats of 5,000 PCs", "% of a core", 20, 10, alone("heartbeats_core"), at_most=True),
        Goal(
            "pages and API with 5,000 PCs and a year of boots",
            "p99 ms",
            200,
            100,
            alone("control_page_p99"),
            at_most=True,
        ),
        Goal("the same: longest hold of control's loop", "ms", 20, None, alone("control_hold"), at_most=True),
        Goal(
            "TFTP beside control idle, flooded, hung, killed",
            "p99 / alone",
            2,
            1.5,
            alone("control_tftp"),
            at_most=True,
        ),
        Goal("proxyDHCP beside it", "replies/s / alone", 0.7, 0.9, alone("control_dhcp")),
        Goal("power-on to computing, against a direct start", "x", 1.35, 1.2, alone("boot_ratio"), at_most=True),
        Goal("build of the image, nothing changed", "s", 1, None, alone("image unchanged"), at_most=True),
        *(
            Goal(
                f"build of the image, {name}",
                "of plain live-build",
                must,
                None,
                alone(f"image {name} ratio"),
                at_most=True,
            )
            for name, must in (
                ("cold", 0.6),
                ("warm", 0.35),
                ("a package", 0.15),
                ("a hook", 0.05),
                ("a file changed", 0.05),
            )
        ),
        Goal("TFTP beside heartbeats", "p99 / alone", 2, 1.5, alone("heartbeats_tftp"), at_most=True),
    ]


GOALS: Sequence[Goal] = (*_lock_step(), *_windows(), *_others())
