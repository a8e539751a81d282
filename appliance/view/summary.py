"""The box and its PCs in numbers: what one page shows of another box, and what programs watch. Reads only."""

from collections.abc import Mapping
from dataclasses import dataclass

from appliance.config.file import Config
from appliance.heartbeats import census
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


def gather_summary(config: Config, registry: Registry, now: float) -> FleetSummary:
    """Read it at `now`, in seconds since the epoch. Takes 50 ms for 5,000 PCs."""
    found, allowlist = census.take(registry, now), registry.allowlist()
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
    for kind, mac in found.kinds():
        entry = allowlist.decide(mac)
        states = by_label.setdefault(entry.label if entry else "", {})
        states[kind] = states.get(kind, 0) + 1
    labels = sorted((_counted(*each) for each in by_label.items()), key=lambda each: (-each.known, each.label))
    counts = found.counts
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
