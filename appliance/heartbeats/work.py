"""The work of PCs: tasks by state, and what was computed for each project; of each PC, and of all together. PURE."""

import sys
from collections import Counter
from dataclasses import dataclass, field

from appliance.heartbeats.records import StoredHeartbeat
from appliance.heartbeats.states import SILENT_AFTER, condition, within

PcWork = tuple[tuple[str, ...], tuple[tuple[str, int, int, int, int], ...]]
"""The states of a PC's tasks; of each project its URL, hundredths of credit and of the recent average, tasks that
succeeded, tasks that failed. Numbers are whole: sums to which millions are added, and taken away again, stay exact."""

NO_WORK: PcWork = ((), ())
_MOST = 1e15
"""Credit: more than all of BOINC has ever given."""


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


def work_in(heartbeat: StoredHeartbeat | None, now: float) -> PcWork:
    """The work that a PC's latest heartbeat tells; tasks only if it is not silent at `now`, in seconds since the epoch.
    What another version wrote, and nobody can read, counts as nothing."""
    boinc = condition(heartbeat)
    heard = heartbeat is not None and within(heartbeat.at, SILENT_AFTER, now)
    tasks = tuple(sys.intern(task.state) for task in boinc.tasks) if heard else ()
    return tasks, tuple(
        (sys.intern(each.url), _hundredths(each.credit), _hundredths(each.average), each.succeeded, each.failed)
        for each in boinc.projects
    )


class WorkSums:
    """The sums over all PCs, kept up to date PC by PC."""

    def __init__(self) -> None:
        self._of: dict[int, PcWork] = {}
        self._tasks: Counter[str] = Counter()
        self._projects: dict[str, list[int]] = {}

    def put(self, mac: int, work: PcWork) -> None:
        """This is the work of the PC with this MAC address, as a number, from now on."""
        before = self._of.pop(mac, NO_WORK)
        if work != NO_WORK:
            self._of[mac] = work
        if work != before:
            self._add(before, -1)
            self._add(work, 1)

    def total(self) -> WorkOfAll:
        """All together."""
        projects = {
            url: ProjectWork(pcs, credit / 100, average / 100, succeeded, failed)
            for url, (pcs, credit, average, succeeded, failed) in self._projects.items()
        }
        return WorkOfAll(Counter(self._tasks), projects)

    def _add(self, work: PcWork, sign: int) -> None:
        states, projects = work
        for state in states:
            self._tasks[state] += sign
            if not self._tasks[state]:
                del self._tasks[state]
        for url, *numbers in projects:
            sums = self._projects.setdefault(url, [0, 0, 0, 0, 0])
            for place, number in enumerate((1, *numbers)):
                sums[place] += sign * number
            if not sums[0]:
                del self._projects[url]


def _hundredths(credit: float) -> int:
    return round(100 * min(max(credit, -_MOST), _MOST))
