"""How many tasks ended well and how many failed in the last day, for each project. PURE.

BOINC counts the tasks of a PC as long as it is attached. Each look adds by how much those counts have grown, to the
count of the hour.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from appliance.control.notify.sightings import ErrorShare

HOURS = 24
MOST_PROJECTS = 32
MOST_PCS = 50
"""PCs with failed tasks that are told apart in an hour; the others count as one."""

OTHERS = "other PCs"

Counts = Mapping[tuple[str, str], tuple[int, int]]
"""By MAC address and project: how many tasks succeeded, and how many failed, since it was attached."""


@dataclass(frozen=True, slots=True)
class Hour:
    """What ended in one hour: tasks that succeeded, and failed ones by MAC address."""

    succeeded: int = 0
    failed: Mapping[str, int] = field(default_factory=dict)


Tally = Mapping[tuple[str, int], Hour]
"""By project and hour, counted since the epoch."""


def add(tally: Tally, before: Counts, after: Counts, now: float) -> Tally:
    """The tally after a look at `now`; `before` are the counts of the look before that."""
    hour = int(now // 3600)
    kept = {key: value for key, value in tally.items() if hour - HOURS < key[1] <= hour}
    projects = {project for project, _ in kept}
    for (mac, project), (succeeded, failed) in after.items():
        old = before.get((mac, project))
        # Lower counts are those of a PC that was attached anew.
        well, badly = (max(succeeded - old[0], 0), max(failed - old[1], 0)) if old else (0, 0)
        if not well and not badly:
            continue
        if project not in projects and len(projects) >= MOST_PROJECTS:
            continue
        projects.add(project)
        count = kept.get((project, hour), Hour())
        count = replace(count, succeeded=count.succeeded + well)
        if badly:
            name = mac if mac in count.failed or len(count.failed) < MOST_PCS else OTHERS
            count = replace(count, failed={**count.failed, name: count.failed.get(name, 0) + badly})
        kept[project, hour] = count
    return kept


def shares(tally: Tally) -> tuple[ErrorShare, ...]:
    """The last day of each project; the PCs with most failures first."""
    found = []
    for project in sorted({project for project, _ in tally}):
        hours = [hour for (name, _), hour in tally.items() if name == project]
        pcs: Counter[str] = Counter()
        for hour in hours:
            pcs.update(hour.failed)
        failed = pcs.total()
        ended = failed + sum(hour.succeeded for hour in hours)
        found.append(ErrorShare(project, ended, failed, tuple(pcs.most_common(MOST_PCS))))
    return tuple(found)


def to_json(tally: Tally) -> str:
    """The tally as the registry keeps it."""
    rows: Iterable[object] = (
        [project, hour, count.succeeded, dict(count.failed)] for (project, hour), count in tally.items()
    )
    return json.dumps(list(rows), ensure_ascii=False, separators=(",", ":"))


def from_json(text: str) -> Tally:
    """The tally that `to_json` wrote; raises ValueError or TypeError for what it cannot have written."""
    found: dict[tuple[str, int], Hour] = {}
    for project, hour, succeeded, failed in json.loads(text):
        counts = {str(mac): int(count) for mac, count in failed.items()}
        found[str(project), int(hour)] = Hour(int(succeeded), counts)
    return found
