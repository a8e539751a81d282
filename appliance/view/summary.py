"""The box and its PCs in numbers: what one page shows of another box, and what programs watch. Reads only."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from appliance.config.file import Config
from appliance.heartbeats.states import ON, STUCK, Kind
from appliance.registry import disk
from appliance.registry.database import Registry
from appliance.registry.server_lock import holder
from appliance.view.facts import server_facts
from appliance.view.status import ImageView, ServerView
from image import release
from image.release import ReleaseError

MOST_LABELS = 500
"""Labels that are counted on their own: those with the most PCs."""


@dataclass(frozen=True, slots=True)
class LabelCounts:
    """The PCs with one label; those without any have the empty one."""

    label: str
    known: int
    on: int
    stuck: int
    states: Mapping[Kind, int]


@dataclass(frozen=True, slots=True)
class FleetSummary:
    """How many PCs have loaded something at least once, how many of them are on, how many are stuck, and how many are
    in each state. `trouble`: what keeps the box from working, in words. `labels`: by label; `other_labels` counts those
    left out. `at` is in seconds since the epoch."""

    at: float
    server: ServerView
    image: ImageView | None
    trouble: tuple[str, ...]
    known: int
    on: int
    stuck: int
    states: Mapping[Kind, int]
    labels: tuple[LabelCounts, ...]
    other_labels: int


def gather_summary(config: Config, registry: Registry, now: float, pcs: Iterable[tuple[Kind, str]]) -> FleetSummary:
    """Read how the box is. `pcs`: state and label of each PC that has loaded something, as they were at `now`, in
    seconds since the epoch."""
    pid = holder(config.registry)
    server = server_facts(registry) if pid else {}
    image, trouble = None, [*server.get("trouble", [])]
    try:
        active = release.current(config.images)
        image = ImageView(active.id, active.created.timestamp()) if active else None
    except ReleaseError as error:
        trouble.append(str(error))
    exports = server.get("exports") or {}
    trouble += filter(None, [exports.get("error"), disk.look(config.server.data).trouble])
    by_label: dict[str, dict[Kind, int]] = {}
    for kind, label in pcs:
        states = by_label.setdefault(label, {})
        states[kind] = states.get(kind, 0) + 1
    labels = sorted((_counted(*each) for each in by_label.items()), key=lambda each: (-each.known, each.label))
    counts = {kind: sum(states.get(kind, 0) for states in by_label.values()) for kind in Kind}
    return FleetSummary(
        at=now,
        server=ServerView(pid, server.get("started")),
        image=image,
        trouble=tuple(trouble),
        known=sum(counts.values()),
        on=_sum(counts, ON),
        stuck=_sum(counts, STUCK),
        states=counts,
        labels=tuple(sorted(labels[:MOST_LABELS], key=lambda each: each.label)),
        other_labels=len(labels[MOST_LABELS:]),
    )


def _counted(label: str, states: Mapping[Kind, int]) -> LabelCounts:
    return LabelCounts(label, sum(states.values()), _sum(states, ON), _sum(states, STUCK), states)


def _sum(states: Mapping[Kind, int], wanted: frozenset[Kind]) -> int:
    return sum(states.get(each, 0) for each in wanted)
