"""How often a PC may report, and how much of that a boot keeps. PURE: boots and times are arguments.

A real boot reports about ten times, and may repeat a report that got no answer. Whoever has the boot's token can report
as fast as it likes. So each client has a budget: REPORTS at once, and one more every SECONDS_EACH. RESERVED of them are
for reports that reach a stage which the boot has not reached yet: no flood of others takes the way of those.

A report that says nothing new costs one of the budget, and neither a row of the registry nor a line of the log
(appliance/journal/recorder.py). Reports that do say something new are kept up to MOST_REPORTS for one boot, and from
then on only those that reach a new stage. Heartbeats have a limit of their own (appliance/server/heartbeats.py).

What is refused is counted with its reason (`netboot-appliance status`), and nothing more.
"""

from appliance.journal.timeline import MOST_REPORTS, Boot, fold, reaches_new_stage
from services.decision import Ignore, Reason
from services.ethernet import MacAddress
from services.events import Reported

REPORTS = 40
RESERVED = 10
SECONDS_EACH = 2.0


class ReportLimit:
    """The budgets of all clients. There are as many as clients with a boot."""

    def __init__(self) -> None:
        self._left: dict[MacAddress, tuple[float, float]] = {}  # reports, and since when; in seconds

    def check(self, boot: Boot, report: Reported, now: float) -> Reported | Ignore:
        """The report, if it may be taken now; `now` is in seconds, of any clock that never goes back."""
        new_stage = reaches_new_stage(boot, report)
        wanted = new_stage or _is_kept(boot, report)
        taken = wanted and self._take(report.mac, now, leave=0 if new_stage else RESERVED)
        return report if taken else Ignore(Reason.TOO_MANY_REPORTS)

    def check_exchange(self, mac: MacAddress, now: float) -> bool:
        """Whether the PC may exchange its token now: a boot does so once, and it is a commit."""
        return self._take(mac, now, leave=0)

    def _take(self, mac: MacAddress, now: float, leave: int) -> bool:
        """Take one of the client's budget, if at least `leave` are left after that."""
        left, since = self._left.get(mac, (float(REPORTS), now))
        left = min(REPORTS, left + (now - since) / SECONDS_EACH)
        enough = left >= 1 + leave
        self._left[mac] = left - enough, now
        return enough


def _is_kept(boot: Boot, report: Reported) -> bool:
    """Whether the boot has room for what the report says, if that is anything new."""
    return boot.reports < MOST_REPORTS or fold(boot, report, boot.last_event).reports == boot.reports
