"""What is wrong with a PC now: the one place that `status`, `clients show` and `doctor` ask. PURE."""

from appliance.diagnosis.boots import of_boot
from appliance.diagnosis.fault import NOTHING, Diagnosis, Seen
from appliance.diagnosis.reports import of_failure
from appliance.journal.timeline import Boot


def diagnose(boot: Boot, now: float, seen: Seen = NOTHING) -> Diagnosis | None:
    """Why the PC whose latest boot this is does not boot or compute at `now`, in seconds since the epoch; None if it
    does, or if it is too early to say."""
    if boot.failure:
        return of_failure(boot.failure, seen)
    return of_boot(boot, seen, now)
