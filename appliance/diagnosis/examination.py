"""What is wrong with a PC now: the one place that `status`, `clients show` and `doctor` ask. PURE."""

from appliance.diagnosis.boots import of_boot
from appliance.diagnosis.computing import of_heartbeat, silent
from appliance.diagnosis.fault import NOTHING, Diagnosis, Seen
from appliance.diagnosis.reports import of_failure
from appliance.heartbeats import states
from appliance.journal.timeline import Boot
from services.boinc.condition import Doing


def diagnose(boot: Boot, now: float, seen: Seen = NOTHING) -> Diagnosis | None:
    """Why the PC whose latest boot this is does not boot or compute at `now`, in seconds since the epoch; None if it
    does, or if it is too early to say."""
    heartbeat = seen.heartbeat
    if seen.off:
        return None
    if heartbeat is None or heartbeat.boot != boot.id:
        return of_failure(boot.failure, seen) if boot.failure else of_boot(boot, seen, now)
    condition = states.condition(heartbeat)
    # What failed before may be well by now, if it computes.
    if boot.failure and condition.doing is not Doing.COMPUTING and not silent(heartbeat, now):
        return of_failure(boot.failure, seen)
    return of_heartbeat(heartbeat, condition, seen, now)
