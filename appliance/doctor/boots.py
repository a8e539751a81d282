"""The PCs that do not boot, or do not compute, grouped by what is wrong: while one fails, the doctor is not green."""

import time
from collections.abc import Iterable

from appliance.config.file import Config
from appliance.diagnosis.examination import diagnose
from appliance.diagnosis.fault import Diagnosis, grouped
from appliance.doctor.finding import Finding, note, ok, warning
from appliance.errors import UserError
from appliance.journal import history
from appliance.journal.timeline import Boot
from appliance.registry.database import Registry
from appliance.registry.overview import failing_boots
from appliance.view.evidence import Evidence
from appliance.view.facts import gather_evidence

LONG_AGO = 7 * 86400.0
"""A PC that was not heard for so many seconds is gone, or on holiday: it is named, and no fault."""

_MOST = 1000
_NAMED = 8
_WHY = "that PC does not compute; status and clients show have each boot"


def judge(boots: Iterable[Boot], evidence: Evidence, now: float) -> list[Finding]:
    """`boots` are the latest ones of PCs that may have failed; `now` is in seconds since the epoch."""
    failed: list[tuple[str, Diagnosis]] = []
    gone = 0
    for boot in boots:
        if boot.mac not in evidence.allowlist:
            continue
        if diagnosis := diagnose(boot, now, evidence.of(boot.mac)):
            if now - boot.last_event > LONG_AGO:
                gone += 1
            else:
                failed.append((str(boot.mac), diagnosis))
    found = [
        warning("boots", f"{group.cause}: {group.named(_NAMED)}", _WHY, group.cure) for group in grouped(failed)
    ] or [ok("boots", "no PC is known to be stuck")]
    if gone:
        whose = "1 PC whose last boot failed was" if gone == 1 else f"{gone} PCs whose last boots failed were"
        found.append(
            note("boots", f"{whose} not heard for a week", "", "netboot-appliance allow remove MAC forgets it")
        )
    return found


def check(config: Config) -> list[Finding]:
    """Look at the latest boots of PCs that may have failed."""
    if not config.registry.exists():
        return judge((), Evidence(), 0.0)
    try:
        now = time.time()
        with Registry(config.registry) as registry:
            rows = failing_boots(registry, now, _MOST)
            return judge(history.read(registry, rows), gather_evidence(config, registry, now), now)
    except UserError as unreadable:
        return [note("boots", f"not checked: {unreadable.message}")]
