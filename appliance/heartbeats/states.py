"""What a PC does now: from its latest boot, its latest heartbeat and the orders that it has carried out. PURE.

Two steps. `kind` decides from the few facts that SQL can see of a hundred thousand PCs
(appliance/heartbeats/census.py); `state` puts one PC's state into words. "Computing" is true only while the PC is
heard. A PC whose image sends no heartbeats stays as it was known, and that is said.
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from appliance.heartbeats.records import StoredHeartbeat
from appliance.journal.timeline import STALLED_AFTER, Boot, Stage
from services.boinc.condition import Condition, Doing, doing_of, from_json
from services.boinc.idleness import next_contact, why_idle
from services.http.heartbeats import OrderVerb, WindowEnd
from services.spans import span

SILENT_AFTER = 180.0
"""Seconds without a heartbeat: three in a row are missing."""

AHEAD = 60.0
"""A moment that is further ahead is of a clock that was set back since: nobody knows how long ago it was."""

_LAST_WORDS = 90.0
"""Seconds in which a PC that is going off may still send a heartbeat. If it sends one later, it is on."""

_OFF = {
    OrderVerb.OFF: "off by order",
    OrderVerb.FINISH: "off by order, all work finished",
    OrderVerb.FINISH_DISK: "gone to its local disk by order, all work finished",
}


class Kind(StrEnum):
    """The states, those that need a person first."""

    FAILED = "failed"
    STALLED = "stalled"
    IDLE = "idle"
    SILENT = "silent"
    BOOTING = "booting"
    SUSPENDED = "suspended"
    UNHEARD = "unheard"
    COMPUTING = "computing"
    ELSEWHERE = "elsewhere"
    OFF = "off"


EndOfBoot = tuple[OrderVerb, float]
"""An order that ended a boot, and when it was carried out."""

ON = frozenset({Kind.IDLE, Kind.BOOTING, Kind.SUSPENDED, Kind.COMPUTING})
"""States of a PC that was heard within the last minutes. One that sends no heartbeats may be on or not."""

STUCK = frozenset({Kind.FAILED, Kind.STALLED})
"""States of a PC whose boot does not go on by itself."""


@dataclass(frozen=True, slots=True)
class PcState:
    """A PC's state in words that say why. `since`: when it began, in seconds since the epoch, or 0 if that is not
    known. `heard`: when the PC was last heard."""

    kind: Kind
    words: str
    since: float
    heard: float


@dataclass(frozen=True, slots=True)
class SeenFacts:
    """What SQL sees of a PC's latest boot and its heartbeat. Times are in seconds since the epoch. `stage` is that of
    the boot; `under_way`: it has still to come to computing; `beat_at`: the latest heartbeat of this boot, or None;
    `doing`: what BOINC did then; `ended`: the order that ended this boot, if one did."""

    stage: str
    under_way: bool
    last_at: float
    beat_at: float | None
    doing: Doing
    ended: EndOfBoot | None = None


def within(at: float, seconds: float, now: float) -> bool:
    """Whether a moment was within the last `seconds`, as far as the clock can be believed."""
    return -AHEAD <= now - at <= seconds


def kind(facts: SeenFacts, now: float) -> Kind:
    """The state's name at `now`."""
    beat = facts.beat_at
    if last := _last_order(facts):
        verb, at = last
        if verb in _OFF:
            return Kind.OFF
        return Kind.BOOTING if within(at, SILENT_AFTER, now) else Kind.SILENT
    if facts.stage == Stage.OFF and not _heard_later(facts, facts.last_at):
        return Kind.OFF
    heard = beat is not None and within(beat, SILENT_AFTER, now)
    if heard and facts.doing is Doing.COMPUTING:
        return Kind.COMPUTING
    if facts.stage == Stage.FAILED:
        return Kind.FAILED
    stirring = within(facts.last_at, STALLED_AFTER, now)
    if heard:
        if facts.doing is Doing.SUSPENDED:
            return Kind.SUSPENDED
        waits = facts.under_way and stirring and facts.doing is Doing.NO_ANSWER
        return Kind.BOOTING if waits else Kind.IDLE
    if beat is not None:
        return Kind.SILENT
    if facts.stage == Stage.COMPUTING:
        return Kind.UNHEARD
    if not facts.under_way:
        return Kind.ELSEWHERE
    return Kind.BOOTING if stirring else Kind.STALLED


def seen(boot: Boot, heartbeat: StoredHeartbeat | None, ended: EndOfBoot | None) -> SeenFacts:
    """Of one PC what SQL sees of all. `ended`: the order that ended this boot, if one did."""
    of_this_boot = heartbeat if heartbeat and heartbeat.boot == boot.id else None
    doing = _doing(of_this_boot.boinc) if of_this_boot else Doing.NO_ANSWER
    beat_at = of_this_boot.at if of_this_boot else None
    return SeenFacts(str(boot.stage or ""), boot.under_way, boot.last_event, beat_at, doing, ended)


def _doing(boinc: str) -> Doing:
    try:
        return doing_of(boinc)
    except ValueError:
        return Doing.NO_ANSWER


def condition(heartbeat: StoredHeartbeat | None) -> Condition:
    """BOINC as that heartbeat found it. What another version wrote, and nobody can read, says as much as nothing."""
    return _condition(heartbeat.boinc) if heartbeat else Condition()


@lru_cache(maxsize=256)
def _condition(text: str) -> Condition:
    """A state, a diagnosis and a page ask for the same ones, of a hundred PCs one after the other."""
    try:
        return from_json(text)
    except ValueError:
        return Condition()


def state(boot: Boot, heartbeat: StoredHeartbeat | None, ended: EndOfBoot | None, now: float) -> PcState:
    """The state of a PC at `now`, with its latest boot and heartbeat and the order that ended this boot, if one
    did."""
    facts = seen(boot, heartbeat, ended)
    heard = max(boot.last_event, facts.beat_at or 0.0)
    found = kind(facts, now)
    words, since = _words(found, facts, boot, heartbeat, now)
    return PcState(found, words, since, heard)


def progress(boot: Boot) -> str:
    """How far a boot has come, in a few words."""
    if boot.failure:
        return f"failed: {boot.failure}"
    loading = next((t for t in reversed(boot.transfers) if not t.failed and t.sent < t.size), None)
    words = str(boot.stage or "") + ("" if boot.entry == "boinc" else f", {boot.entry}")
    if loading:
        words += f", {loading.path.rsplit('/', 1)[-1]} {100 * loading.sent // loading.size} %"
    return words


def _last_order(facts: SeenFacts) -> EndOfBoot | None:
    """The order that ended the boot, unless the PC was heard long after it."""
    last = facts.ended
    return last if last and not _heard_later(facts, last[1]) else None


def _heard_later(facts: SeenFacts, went: float) -> bool:
    """Whether the PC was heard long after it went, so that it is on after all."""
    return facts.beat_at is not None and facts.beat_at > went + _LAST_WORDS


def _words(
    found: Kind, facts: SeenFacts, boot: Boot, heartbeat: StoredHeartbeat | None, now: float
) -> tuple[str, float]:
    """The words for the state, and since when it is so."""
    last = _last_order(facts)
    if last and found is not Kind.SILENT:
        return _OFF.get(last[0], "restarting by order"), last[1]
    match found:
        case Kind.SILENT:
            since = facts.beat_at or boot.last_event
            if since > now + AHEAD:
                return "silent since the server's clock was set back", now
            return f"silent for {span(now - since)}", since
        case Kind.UNHEARD:
            return "computing, no heartbeats", boot.reached[-1].at
        case Kind.COMPUTING | Kind.SUSPENDED | Kind.IDLE if heartbeat:
            return _of_boinc(found, condition(heartbeat), heartbeat, now)
        case Kind.OFF if heartbeat and heartbeat.boot == boot.id and heartbeat.facts.get("leaving") == WindowEnd.OFF:
            return "off: its window has ended", boot.last_event
        case Kind.OFF:
            return "switched off at the PC" + (f", {progress(boot)}" if boot.failure else ""), boot.last_event
        case Kind.STALLED:
            return f"stalled in {progress(boot)}", boot.last_event
        case Kind.BOOTING:
            return f"booting: {progress(boot)}", boot.started
        case _:
            return progress(boot), boot.last_event


def _of_boinc(found: Kind, boinc: Condition, heartbeat: StoredHeartbeat, now: float) -> tuple[str, float]:
    directory = heartbeat.facts.get("state_directory", "ok")
    trouble = "" if directory in ("", "ok") else f"its state directory is {directory}"
    if found is Kind.SUSPENDED and heartbeat.facts.get("window") == "closed":
        return "suspended until its next window", boinc.since
    if found is Kind.SUSPENDED:
        return f"suspended: {boinc.suspended}", boinc.since
    if found is Kind.COMPUTING:
        tasks = f"{boinc.running} task{'' if boinc.running == 1 else 's'}"
        return f"computing {tasks}{trouble and f', but {trouble}'}", boinc.since
    words = f"idle for {span(now - boinc.since)}" if boinc.since else "idle"
    if why := trouble or (why_idle(boinc) if boinc.doing else _without_answer(heartbeat)):
        words += f": {why}"
    wait = next_contact(boinc) - now
    return words + (f"; BOINC asks again in {span(wait)}" if wait > 60 and not trouble else ""), boinc.since


def _without_answer(heartbeat: StoredHeartbeat) -> str:
    boinc = heartbeat.facts.get("boinc", "")
    return f"BOINC is {boinc}" if boinc in ("starting", "stopped") else "BOINC does not answer"
