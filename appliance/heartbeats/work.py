"""The work of all PCs at once: tasks by state, and what was computed for each project. 5,000 PCs take 50 ms."""

from collections import Counter
from dataclasses import dataclass, field

from appliance.registry.database import Registry
from appliance.registry.rows import moment, text
from services.boinc.condition import work_of


@dataclass(slots=True)
class ProjectWork:
    """What PCs have done for a project together: credit in all, their recent average a day, tasks that succeeded and
    that failed."""

    pcs: int = 0
    credit: float = 0.0
    average: float = 0.0
    succeeded: int = 0
    failed: int = 0


@dataclass(slots=True)
class WorkOfAll:
    """`tasks`: how many are in each state, in BOINC Manager's words. `projects`: by their URLs."""

    tasks: Counter[str] = field(default_factory=Counter)
    projects: dict[str, ProjectWork] = field(default_factory=dict)


def add_up(registry: Registry, since: float) -> WorkOfAll:
    """The work that the latest heartbeats of all PCs tell; tasks only of PCs that were heard since then, in seconds
    since the epoch. What another version wrote, and nobody can read, counts as nothing."""
    found = WorkOfAll()
    with registry.reading("heartbeats"):
        for at, boinc in registry.sql.execute("SELECT at, boinc FROM heartbeats"):
            try:
                states, projects = work_of(text(boinc))
            except ValueError:
                continue
            if moment(at) >= since:
                found.tasks.update(states)
            for url, credit, average, succeeded, failed in projects:
                work = found.projects.setdefault(url, ProjectWork())
                work.pcs += 1
                work.credit += credit
                work.average += average
                work.succeeded += succeeded
                work.failed += failed
    return found
