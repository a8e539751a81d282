"""The figures as Prometheus reads them. PURE but for the library's own values.

Labels have few values: states, stages, kinds of events, reasons, projects of the configuration. Only if [control]
metrics_per_pc says so there is a series for each PC.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from appliance.control.fleet.pcs import PcFacts
from appliance.control.metrics.boot_times import BootTimes, Durations
from appliance.control.metrics.figures import BoxFigures
from appliance.heartbeats.states import ON, STUCK, Kind
from appliance.heartbeats.work import ProjectWork, WorkOfAll
from appliance.journal.timeline import Stage

PREFIX = "netboot_appliance_"
OTHER = "(other)"
_STATES = frozenset(
    {
        "running", "waiting to run", "ready to start", "new", "downloading", "uploading", "ready to report", "aborted",
        "computation error", "upload failed", "suspended by user", "project suspended by user", "waiting for memory",
        "waiting for GPU memory", "postponed",
    }
)  # fmt: skip
"""States of tasks that are told apart. What BOINC suspended for a reason is one state, whatever the reason."""


def families(figures: BoxFigures, boots: BootTimes, version: str, open_pages: int) -> Iterator[Metric]:
    """All metrics but those of the requests."""
    yield _gauge("info", "The version of netboot-appliance.", ("version",), [((version,), 1)])
    yield from _of_server(figures)
    yield from _of_pcs(figures)
    yield from _of_work(figures.work, figures.projects)
    yield from _of_boots(figures.stages, boots)
    yield from _of_box(figures)
    yield _number("control_open_pages", "Browsers that are told what changes.", open_pages)
    if figures.pcs:
        yield from _of_each_pc(figures.pcs)


def _of_server(figures: BoxFigures) -> Iterator[Metric]:
    server = figures.server
    counters: Mapping[str, Any] = server.get("counters") or {}
    yield _number("serving", "Whether the server of boots runs.", figures.serving)
    yield _number("serve_start_time_seconds", "When it started, in seconds since the epoch.", server.get("started", 0))
    yield _number("serve_troubles", "Networks that it cannot reach PCs in.", len(server.get("trouble", ())))
    error = (server.get("exports") or {}).get("error", "")
    yield _number("exports_in_force", "Whether NFS exports what it should.", figures.serving and not error)
    yield _counter("events", "What happened to PCs, by kind.", ("kind",), _rows(counters.get("events")))
    yield _counter(
        "ignored", "Requests that got no answer, and why.", ("service", "reason"), _lists(counters.get("ignored"))
    )
    yield _counter("transfers", "Files that were sent.", ("service", "result"), _lists(counters.get("transfers")))
    yield _counter(
        "transfer_bytes", "Bytes of files that PCs have, counted when a file ends.", ("service",),
        _rows(counters.get("bytes")),
    )  # fmt: skip
    yield _counter("heartbeats", "Heartbeats of PCs.", (), [((), counters.get("heartbeats", 0))])
    lost = server.get("heartbeats_lost", 0)
    yield _counter("heartbeats_lost", "Heartbeats that could not be kept.", (), [((), lost)])


def _of_pcs(figures: BoxFigures) -> Iterator[Metric]:
    states = figures.states
    yield _gauge("pcs", "PCs by what they do.", ("state",), [((str(kind),), states.get(kind, 0)) for kind in Kind])
    yield _number("pcs_known", "PCs that have loaded something at least once.", sum(states.values()))
    yield _number("pcs_on", "PCs that were heard within the last minutes.", sum(states.get(each, 0) for each in ON))
    yield _number("pcs_stuck", "PCs whose boot does not go on.", sum(states.get(each, 0) for each in STUCK))


def _of_work(work: WorkOfAll, projects: Iterable[str]) -> Iterator[Metric]:
    tasks = dict.fromkeys((*sorted(_STATES), "suspended", OTHER), 0)
    for state, count in work.tasks.items():
        tasks[state if state in _STATES else "suspended" if state.startswith("suspended") else OTHER] += count
    yield _gauge(
        "tasks", "Tasks of BOINC on PCs that are heard.", ("state",), [((state,), n) for state, n in tasks.items()]
    )
    by_project = {_bare(url): ProjectWork() for url in projects}
    for url, one in work.projects.items():
        name = _bare(url) if _bare(url) in by_project else OTHER
        by_project[name] = _sum(by_project.get(name, ProjectWork()), one)
    rows = [((url,), one) for url, one in by_project.items()]
    labels = ("project",)
    yield _gauge("credit", "Credit of all PCs.", labels, [(name, one.credit) for name, one in rows])
    words = "Recent average credit a day of all PCs."
    yield _gauge("credit_average", words, labels, [(name, one.average) for name, one in rows])
    words = "Tasks that succeeded and failed, as the PCs know them."
    results = [((*name, "succeeded"), one.succeeded) for name, one in rows]
    results += [((*name, "failed"), one.failed) for name, one in rows]
    yield _gauge("task_results", words, ("project", "result"), results)


def _of_boots(latest: Mapping[str, int], boots: BootTimes) -> Iterator[Metric]:
    words = "PCs by the stage to which their latest boot came."
    yield _gauge("latest_boots", words, ("stage",), [((str(stage),), latest.get(stage, 0)) for stage in Stage])
    yield _counter("boots", "Boots that began, since this process started.", (), [((), boots.begun)])
    words = "Boots that came to a stage, since this process started."
    yield _counter("boot_stages", words, ("stage",), [((str(stage),), boots.stages[stage]) for stage in Stage])
    yield _histogram("boot_offer_to_kernel_seconds", "From the offer to the whole kernel.", boots.to_kernel)
    words = "From the first sign of a PC until it computed."
    yield _histogram("boot_power_on_to_computing_seconds", words, boots.to_computing)


def _of_box(figures: BoxFigures) -> Iterator[Metric]:
    image = figures.image
    rows = [((image.id, image.kernel, image.recipe.distribution), 1)] if image else []
    yield _gauge("image_info", "The active image.", ("release", "kernel", "distribution"), rows)
    created = [((), image.created.timestamp())] if image else []
    yield _gauge("image_created_timestamp_seconds", "When it was built, in seconds since the epoch.", (), created)
    yield _number("disk_free_bytes", "Free for the PCs' work and the registry.", figures.disk_free)
    yield _number("registry_bytes", "Size of the registry.", figures.registry_size)
    yield _number("allowed_addresses", "MAC addresses that may boot.", figures.allowed)
    yield _number("refused_machines", "Machines that asked and may not boot, as far as they are kept.", figures.refused)
    yield _number("leases", "Addresses that the box's own DHCP server has leased.", figures.leased)
    yield _number("open_orders", "Orders that PCs have not carried out yet.", figures.open_orders)
    yield _number("pending_notices", "Notices that are not delivered yet.", figures.pending_notices)


def _of_each_pc(pcs: Iterable[PcFacts]) -> Iterator[Metric]:
    shown = [((pc.mac, pc.label), pc) for pc in pcs if pc.kind]
    labels = ("mac", "label")
    states = [((*name, str(pc.kind)), 1) for name, pc in shown]
    yield _gauge("pc_state", "What each PC does: 1 for its state.", (*labels, "state"), states)
    words = "When each PC was last heard, in seconds since the epoch."
    yield _gauge("pc_heard_timestamp_seconds", words, labels, [(name, pc.heard) for name, pc in shown])


def _bare(url: str) -> str:
    """The address of a project without what differs in nothing."""
    return url.rstrip("/").lower()


def _sum(one: ProjectWork, other: ProjectWork) -> ProjectWork:
    return ProjectWork(
        one.pcs + other.pcs,
        one.credit + other.credit,
        one.average + other.average,
        one.succeeded + other.succeeded,
        one.failed + other.failed,
    )


_Rows = Iterable[tuple[tuple[str, ...], float]]


def _gauge(name: str, words: str, labels: tuple[str, ...], rows: _Rows) -> Metric:
    family = GaugeMetricFamily(PREFIX + name, words, labels=labels)
    for values, number in rows:
        family.add_metric(values, number)
    return family


def _number(name: str, words: str, number: float) -> Metric:
    return _gauge(name, words, (), [((), float(number))])


def _counter(name: str, words: str, labels: tuple[str, ...], rows: _Rows) -> Metric:
    family = CounterMetricFamily(PREFIX + name, words, labels=labels)
    for values, number in rows:
        family.add_metric(values, number)
    return family


def _histogram(name: str, words: str, durations: Durations) -> Metric:
    return HistogramMetricFamily(PREFIX + name, words, buckets=durations.buckets(), sum_value=durations.total)


def _rows(found: Any) -> _Rows:
    return [((str(name),), float(count)) for name, count in (found or {}).items()]


def _lists(found: Any) -> _Rows:
    return [(tuple(map(str, names)), float(count)) for *names, count in found or ()]
