"""The PCs that do not boot, and those that do not compute, grouped by what is wrong: while one fails, the doctor is not
green."""

import time
from collections.abc import Iterable, Mapping

from appliance.config.file import Config
from appliance.diagnosis.examination import diagnose
from appliance.diagnosis.fault import Diagnosis, FaultGroup, grouped
from appliance.doctor.finding import Finding, note, ok, warning
from appliance.errors import UserError
from appliance.heartbeats import census, store
from appliance.heartbeats.records import StoredHeartbeat
from appliance.heartbeats.states import EndOfBoot
from appliance.journal import history
from appliance.journal.timeline import Boot
from appliance.registry.database import Registry
from appliance.registry.overview import failing_boots, heard_boots
from appliance.view.evidence import Evidence
from appliance.view.facts import gather_evidence
from services.ethernet import MacAddress

LONG_AGO = 7 * 86400.0
"""A PC that was not heard for so many seconds is gone, or on holiday: it is counted, and no fault."""

_MOST = 10_000
_NAMED = 8
_WHY = "that PC does not compute; status and clients show have more about it"
_FINE = {"boots": "no PC is known to be stuck", "computing": "no PC that was heard has stopped computing"}


def judge(
    check: str,
    boots: Iterable[Boot],
    evidence: Evidence,
    now: float,
    heartbeats: Mapping[MacAddress, StoredHeartbeat] = {},
    ended: Mapping[int, EndOfBoot] = {},
) -> list[Finding]:
    """`boots` are the latest ones of PCs that may have failed, `ended` the orders that ended one, by the number of the
    MAC address; `now` is in seconds since the epoch."""
    found: list[tuple[str, Diagnosis]] = []
    gone = 0
    for boot in boots:
        seen = evidence.of(boot, heartbeats.get(boot.mac), ended.get(boot.mac.value), now)
        if boot.mac not in evidence.allowlist or not (diagnosis := diagnose(boot, now, seen)):
            continue
        heard = max(boot.last_event, seen.heartbeat.at if seen.heartbeat else 0.0)
        if now - heard > LONG_AGO:
            gone += 1
        else:
            found.append((str(boot.mac), diagnosis))
    groups = grouped(found)
    findings = [] if any(group.failing for group in groups) else [ok(check, _FINE[check])]
    findings += [_finding(check, group) for group in groups]
    if gone:
        whose = "1 PC that failed last was" if gone == 1 else f"{gone} PCs that failed last were"
        findings.append(
            note(check, f"{whose} not heard for a week", "", "if they are gone: netboot-appliance allow remove MAC")
        )
    return findings


def _finding(check: str, group: FaultGroup) -> Finding:
    what = f"{group.cause}: {group.named(_NAMED)}"
    return warning(check, what, _WHY, group.cure) if group.failing else note(check, what, "", group.cure)


def check_boots(config: Config) -> list[Finding]:
    """Look at the latest boots of PCs that have not come up, as far as anybody knows."""
    return look(config, "boots", time.time())


def check_computing(config: Config) -> list[Finding]:
    """Look at the latest heartbeats."""
    return look(config, "computing", time.time())


def look(config: Config, check: str, now: float) -> list[Finding]:
    """What the check of this name finds at `now`, in seconds since the epoch."""
    if not config.registry.exists():
        return judge(check, (), Evidence(), 0.0)
    try:
        with Registry(config.registry) as registry:
            evidence = gather_evidence(config, registry, now)
            heartbeats, ended = store.latest_of_all(registry), census.ends_of_boots(registry)
            heard = {boot.mac: boot for boot in history.read(registry, heard_boots(registry, _MOST))}
            if check == "computing":
                return judge(check, heard.values(), evidence, now, heartbeats, ended)
            failing = history.read(registry, failing_boots(registry, _MOST))
            return judge(check, _without(failing, heard), evidence, now, heartbeats, ended)
    except UserError as unreadable:
        return [note(check, f"not checked: {unreadable.message}")]


def _without(boots: Iterable[Boot], others: Iterable[MacAddress]) -> list[Boot]:
    leave = set(others)
    return [boot for boot in boots if boot.mac not in leave]
