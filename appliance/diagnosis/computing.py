"""Why a PC that is up does not compute: from its latest heartbeat, and what BOINC says of itself in it. PURE.

Times are in seconds since the epoch. Words that the PC sent are shown as details, and compared with known ones.
"""

from collections.abc import Callable

from appliance.diagnosis.fault import READ_ONLY, SERVER_FULL, STATE_FULL, Diagnosis, Seen
from appliance.heartbeats.records import StoredHeartbeat
from appliance.heartbeats.states import SILENT_AFTER, within
from services.boinc.condition import Condition, Doing
from services.boinc.idleness import (
    KEY_CURE,
    KEY_REFUSED,
    NO_INTERNET,
    NOT_REACHABLE,
    key_refused,
    next_contact,
    why_idle,
)
from services.spans import span

NOTHING_TO_COMPUTE = "BOINC has nothing to compute"
"""How the causes begin of PCs that find no work."""

STARTING = 300.0
"""Seconds of uptime in which BOINC may still be starting, attaching, and fetching its first tasks."""

IDLE_AFTER = 600.0
"""Between two tasks BOINC may have nothing to do for a while: it asks the project again after a minute or two."""

CLOCK_WRONG = 300.0
"""Seconds between the PC's clock and the box's; certificates and deadlines bear that much."""

_REACH = (
    "look at the project's own page; netboot-appliance config check --online asks it from here; a firewall or a web"
    " proxy on the way needs [boinc] proxy or lan"
)
_DIRECTORY = {
    "full": STATE_FULL,
    "read-only": READ_ONLY,
    "stalled": "the NFS server does not answer it: netboot-appliance doctor looks at NFS and the wall before it",
}
_IDLE = {
    KEY_REFUSED: KEY_CURE,
    NOT_REACHABLE: _REACH,
    NO_INTERNET: _REACH,
    "not enough disk space": STATE_FULL,
    "not enough memory": "more memory, or [boinc.preferences] ram_max_used_idle_pct; or a project with smaller tasks",
    "no new tasks are asked for": "netboot-appliance order MAC resume; after an order finish: restart the PC",
    "no project is attached": "look at [project] in the configuration and at the PC's messages: netboot-appliance"
    " clients show MAC",
}
_DOES_NOT_OBEY = (
    "netboot-appliance order MAC off; if that does not help either, its live system hangs: look at its screen, switch"
    " it off by hand"
)
_NO_WORK = (
    "the project has no work for this PC now; a second one in [[projects]], with backup = true, takes its place"
    " meanwhile"
)
_BY_PREFERENCE = (
    "that is what [boinc.preferences] of the configuration, or an order, says; to change it: netboot-appliance order"
    " MAC resume, or the preferences and netboot-appliance reload"
)
_NOT_WANTED = ("disk space", "operating system", "GUI not active", "unknown reason")


def of_heartbeat(heartbeat: StoredHeartbeat, condition: Condition, seen: Seen, now: float) -> Diagnosis | None:
    """Why the PC that sent this heartbeat does not compute; None if it does, or if it is too early to say."""
    for rule in _RULES:
        if found := rule(heartbeat, condition, seen, now):
            return found
    return None


def silent(heartbeat: StoredHeartbeat, now: float) -> bool:
    """Whether heartbeats have stopped."""
    return not within(heartbeat.at, SILENT_AFTER, now)


def _silent(heartbeat: StoredHeartbeat, _c: Condition, _s: Seen, now: float) -> Diagnosis | None:
    if not silent(heartbeat, now):
        return None
    return Diagnosis(
        "sends no heartbeat any more: switched off, no power, no cable, or its live system hangs",
        "switch it on, and look at its cable and its screen; before it is switched off for good: netboot-appliance"
        " order MAC finish",
        f"silent for {span(now - heartbeat.at)}",
    )


def _overdue(_h: StoredHeartbeat, condition: Condition, seen: Seen, now: float) -> Diagnosis | None:
    """Before all else: whatever it does, it should not be on."""
    due = seen.due_off
    if due is None or now < due.at or not (due.by_order or condition.doing is Doing.COMPUTING):
        return None
    words = "has not gone, though an order told it to", "still computes, though its window has ended"
    return Diagnosis(words[not due.by_order], _DOES_NOT_OBEY, f"overdue by {span(now - due.at)}")


def _state_directory(heartbeat: StoredHeartbeat, _c: Condition, seen: Seen, _: float) -> Diagnosis | None:
    state = heartbeat.facts.get("state_directory", "ok")
    if state in ("", "ok"):
        return None
    known = next((word for word in _DIRECTORY if word in state), "")
    if seen.box.disk and known != "stalled":
        return Diagnosis(f"its state directory is {known or 'not well'}: {seen.box.disk}", SERVER_FULL)
    cure = _DIRECTORY.get(known, "look at the server's disk and at NFS: netboot-appliance doctor")
    detail = "" if state == known else state
    return Diagnosis(f"its state directory is {known or 'not well'}", cure, detail)


def _clock(heartbeat: StoredHeartbeat, _c: Condition, _s: Seen, _: float) -> Diagnosis | None:
    try:
        wrong = float(heartbeat.facts["clock"]) - heartbeat.at
    except (KeyError, ValueError):
        return None
    if not abs(wrong) > CLOCK_WRONG:
        return None
    return Diagnosis(
        "its clock is wrong: certificates are refused, and tasks are lost as past their deadlines",
        "let it reach an NTP server ([dhcp] ntp, or option 42 of the site's DHCP server), and replace the battery of"
        " its clock; is the box's own clock right? netboot-appliance doctor",
        f"{'ahead' if wrong > 0 else 'behind'} by {span(abs(wrong))}",
    )


def _not_running(heartbeat: StoredHeartbeat, condition: Condition, _s: Seen, _: float) -> Diagnosis | None:
    state = heartbeat.facts.get("boinc", "")
    if condition.doing is not Doing.NO_ANSWER or _uptime(heartbeat) < STARTING:
        return None
    return Diagnosis(
        "BOINC does not run, or does not answer",
        "restart the PC: netboot-appliance order MAC reboot; if it happens again, look at its screen, and at BOINC's"
        " messages before that: netboot-appliance clients show MAC",
        state if state in ("stopped", "starting", "no answer") else "",
    )


def _key_refused(_h: StoredHeartbeat, condition: Condition, _s: Seen, _: float) -> Diagnosis | None:
    """Told at once, also while earlier tasks are computed: nothing of them can be reported."""
    return Diagnosis(KEY_REFUSED, KEY_CURE) if key_refused(condition) else None


def _suspended(_h: StoredHeartbeat, condition: Condition, _s: Seen, _: float) -> Diagnosis | None:
    if condition.doing is not Doing.SUSPENDED:
        return None
    wanted = not any(words in condition.suspended for words in _NOT_WANTED)
    cure = _BY_PREFERENCE if wanted else STATE_FULL if "disk" in condition.suspended else "restart the PC"
    return Diagnosis(f"BOINC is suspended: {condition.suspended}", cure, failing=not wanted)


def _idle(heartbeat: StoredHeartbeat, condition: Condition, _s: Seen, now: float) -> Diagnosis | None:
    if condition.doing is not Doing.IDLE or _uptime(heartbeat) < STARTING:
        return None
    why = why_idle(condition)
    at_once = why in (NOT_REACHABLE, NO_INTERNET)
    if not at_once and condition.since and now - condition.since < IDLE_AFTER:
        return None
    wait = next_contact(condition) - now
    detail = f"BOINC asks again in {span(wait)}" if wait > 60 else ""
    if not why:
        return Diagnosis(f"{NOTHING_TO_COMPUTE}, and does not say why", _REACH, detail)
    return Diagnosis(why if at_once else f"{NOTHING_TO_COMPUTE}: {why}", _IDLE.get(why, _NO_WORK), detail)


def _setup(heartbeat: StoredHeartbeat, _c: Condition, _s: Seen, _: float) -> Diagnosis | None:
    """It computes nevertheless, so whatever else is wrong comes first."""
    said = heartbeat.facts.get("setup", "")
    if not said:
        return None
    if said.startswith("hook "):
        return Diagnosis(
            "a hook failed when it started",
            "try it on the server or in netboot-appliance image shell; it runs again at the next boot:"
            " netboot-appliance live show MAC lists the hooks",
            said,
        )
    return Diagnosis(
        "it started without its files from the server",
        "restart it: netboot-appliance order MAC reboot; then look at what was refused: netboot-appliance status",
        said,
    )


_RULES: tuple[Callable[[StoredHeartbeat, Condition, Seen, float], Diagnosis | None], ...] = (
    _silent,
    _overdue,
    _state_directory,
    _clock,
    _not_running,
    _key_refused,
    _suspended,
    _idle,
    _setup,
)


def _uptime(heartbeat: StoredHeartbeat) -> float:
    try:
        return float(heartbeat.facts["uptime"])
    except (KeyError, ValueError):
        return STARTING
