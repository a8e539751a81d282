"""How far boots came and how long they took, counted since the process started: a boot counts once for each stage.

Each reading looks at the boots that were heard since the reading before. A boot that another one of the same PC follows
between two readings counts as far as it had come by the first.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from appliance.journal import history
from appliance.journal.timeline import Boot, Stage
from appliance.registry.database import Registry

BUCKETS = (5.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0, 180.0, 300.0, 600.0, 1200.0)
"""Upper bounds, in seconds."""

_WRITTEN_LATE = 60.0
"""Seconds until the registry has what happened, however busy or full the disk is, but for a disk that is full."""

_MOST = 50_000
"""Boots that are remembered: more PCs are not switched on in an hour."""


@dataclass(slots=True)
class Durations:
    """`counts`: how many were at most as long as each of BUCKETS and longer than the one before; `longer` than all of
    them. `total` is in seconds."""

    counts: list[int] = field(default_factory=lambda: [0] * len(BUCKETS))
    longer: int = 0
    total: float = 0.0

    def add(self, seconds: float) -> None:
        """Count one."""
        self.total += seconds
        for place, bound in enumerate(BUCKETS):
            if seconds <= bound:
                self.counts[place] += 1
                return
        self.longer += 1

    def buckets(self) -> list[tuple[str, float]]:
        """As Prometheus has them: how many were at most as long as each bound."""
        found, count = [], 0
        for bound, more in zip(BUCKETS, self.counts, strict=True):
            count += more
            found.append((f"{bound}", float(count)))
        return [*found, ("+Inf", float(count + self.longer))]


class BootTimes:
    """`begun`: boots that began; `stages`: how many came to each stage. `to_kernel`: from the offer to the whole
    kernel; `to_computing`: from the first sign of the PC until it computed."""

    def __init__(self, since: float) -> None:
        """Only boots that began at `since` or later count; seconds since the epoch."""
        self.begun = 0
        self.stages: Counter[Stage] = Counter()
        self.to_kernel = Durations()
        self.to_computing = Durations()
        self._since = since
        self._read_until = since
        self._counted: dict[int, set[Stage]] = {}

    def read(self, registry: Registry) -> None:
        """Count what happened since the last reading."""
        rows = registry.boot_rows(
            "WHERE latest AND last_at >= ? AND started >= ?", (self._read_until - _WRITTEN_LATE, self._since)
        )
        self.add(history.read(registry, rows))

    def add(self, boots: Iterable[Boot]) -> None:
        """Count these boots, as far as they have not been counted."""
        for boot in boots:
            self._add(boot)
            self._read_until = max(self._read_until, boot.last_event)
        for number in list(self._counted)[:-_MOST]:
            del self._counted[number]

    def _add(self, boot: Boot) -> None:
        known = self._counted.get(boot.id)
        if known is None:
            known = self._counted[boot.id] = set()
            self.begun += 1
        at = {each.stage: each.at for each in boot.reached}
        for stage in at.keys() - known:
            known.add(stage)
            self.stages[stage] += 1
            if stage is Stage.KERNEL and Stage.OFFERED in at:
                self.to_kernel.add(max(0.0, at[stage] - at[Stage.OFFERED]))
            elif stage is Stage.COMPUTING:
                self.to_computing.add(max(0.0, at[stage] - boot.started))
