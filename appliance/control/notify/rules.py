"""What is told, rule by rule: what each looks for, and how long it waits. PURE.

A rule's `find` returns what is so now, or None if that cannot be said: then what the rule remembers stays as it is. The
words are in notices.py.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from appliance.config.notify import RuleSettings
from appliance.control.notify.conditions import Observation, Tempo
from appliance.control.notify.sightings import PcSighting, Sightings
from appliance.diagnosis.computing import NOTHING_TO_COMPUTE
from appliance.diagnosis.fault import Diagnosis
from appliance.exports.forgotten_work import SOON
from appliance.heartbeats.states import Kind
from appliance.images.rollout import Ending
from appliance.view.kept_work import GIVE_BACK
from services.boinc.idleness import KEY_CURE, KEY_REFUSED, NO_INTERNET, NOT_REACHABLE
from services.spans import span

DAY = 86400.0
FEWEST_ERRORS = 5
"""Failed tasks in a day below which a share says nothing."""

DISK_SLACK = 2.0
"""Per cent by which a disk must have emptied until it is told again that it fills up."""

_SILENT = "no heartbeat: switched off, no power, no cable, or its live system hangs"
_SILENT_CURE = "look at the room's power and its switch; one PC alone: switch it on, look at its cable and its screen"
_NOT_THERE = (NOT_REACHABLE, NO_INTERNET)
_AWAY = "is away: PCs cannot reach it"
_AWAY_CURE = "look at the project's own page; netboot-appliance config check --online asks it from here"
_ERRORS_CURE = (
    "if one PC has most of them, its memory or its cooling: netboot-appliance clients show MAC; if all have some, it is"
    " the project"
)
_DISK_CURE = "netboot-appliance image prune deletes old images; or a larger disk for [server] data"
_CLAIM_CURE = "find the other machine by its MAC address in the switch, and give it another address"
_ENDED = {
    Ending.PROMOTED: "was promoted: all PCs of its image boot it now",
    Ending.ROLLED_BACK: "was rolled back: its PCs boot the active one again",
    Ending.CANCELLED: "was cancelled",
}
_CANARY_CURE = "see: netboot-appliance image canary; look at the screen of a PC that failed, and build another one"
_NOT_WOKEN = "did not come when it was woken"
_NOT_WOKEN_CURE = (
    "if it has never come: Wake on LAN on, and deep sleep (ErP, EuP) off in its firmware; netboot-appliance doctor says"
    " more; else look at its power and its cable, or it is on with its own system"
)
_DELETED_SOON = "the work of a forgotten PC is deleted in two days"
_DELETED_CURE = f"if it is wanted, {GIVE_BACK}"
_DHCP_CURE = "if it is yours, nothing; else find it in the switch by its address: it can send PCs anywhere"


class RuleName(StrEnum):
    """The rules, as in [notify.rules]."""

    BOOTED = "booted"
    FAULTS = "faults"
    SILENT = "silent"
    KEY_REFUSED = "key_refused"
    NO_WORK = "no_work"
    TASK_ERRORS = "task_errors"
    IMAGES = "images"
    CANARY = "canary"
    NOT_WOKEN = "not_woken"
    KEPT_WORK = "kept_work"
    DISK = "disk"
    NETWORK = "network"
    SERVER = "server"
    DIGEST = "digest"


Find = Callable[[Sightings, RuleSettings, Collection[str]], Sequence[Observation] | None]


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule: what it tells in a few words, how long it waits, and what it looks for. `find` also gets the keys that
    the rule remembers."""

    name: RuleName
    about: str
    tempo: Tempo
    find: Find


def named(mac: str, label: str) -> str:
    """A PC in the words in which the administrator knows it."""
    return f"{label} ({mac})" if label else mac


def _booted(seen: Sightings, settings: RuleSettings, _: Collection[str]) -> list[Observation]:
    # Those that are not told are known all the same: the day on which somebody wants all of them begins with none.
    every = settings.booted == "all"
    return [
        Observation(
            f"{pc.mac} {pc.boot}",
            named(pc.mac, pc.label),
            group=pc.label,
            detail=pc.address,
            expected=not (every or pc.first),
        )
        for pc in seen.pcs.values()
        if pc.came_up
    ]


def _faults(seen: Sightings, _s: RuleSettings, _k: Collection[str]) -> list[Observation] | None:
    if not seen.serving:
        return None
    return [_of_pc(pc, pc.fault) for pc in seen.pcs.values() if pc.fault and pc.fault.failing and _is_fault(pc)]


def _is_fault(pc: PcSighting) -> bool:
    """Whether what is wrong with the PC has no rule of its own."""
    return pc.kind is not Kind.SILENT and not pc.refused and not _without_work(pc)


def _without_work(pc: PcSighting) -> bool:
    about_work = pc.fault and (pc.fault.cause in _NOT_THERE or pc.fault.cause.startswith(NOTHING_TO_COMPUTE))
    return pc.kind is Kind.IDLE and bool(about_work)


def _of_pc(pc: PcSighting, fault: Diagnosis) -> Observation:
    cause = fault.cause
    return Observation(f"{pc.mac} {cause}", named(pc.mac, pc.label), cause, fault.cure, pc.label, fault.detail)


def _silent(seen: Sightings, settings: RuleSettings, _: Collection[str]) -> list[Observation] | None:
    # A server that is down hears nobody, and one that has just started has not heard the others yet.
    if not seen.serving:
        return None
    limit = 60.0 * settings.silent
    return [
        Observation(pc.mac, named(pc.mac, pc.label), _SILENT, _SILENT_CURE, pc.label)
        for pc in seen.pcs.values()
        if pc.kind is Kind.SILENT and not pc.may_be_off and seen.now - max(pc.heard, seen.started) >= limit
    ]


def _key_refused(seen: Sightings, _s: RuleSettings, _k: Collection[str]) -> list[Observation] | None:
    if not seen.serving:
        return None
    pcs = [pc for pc in seen.pcs.values() if pc.refused]
    if not pcs:
        return []
    return [Observation("key", _pcs(pcs), KEY_REFUSED, KEY_CURE)]


def _no_work(seen: Sightings, settings: RuleSettings, _: Collection[str]) -> list[Observation] | None:
    if not seen.serving:
        return None
    limit = 3600.0 * settings.no_work
    causes: dict[tuple[str, str], list[PcSighting]] = {}
    for pc in seen.pcs.values():
        if _without_work(pc) and not pc.refused and pc.fault and 0 < pc.idle_since <= seen.now - limit:
            causes.setdefault((pc.fault.cause, pc.fault.cure), []).append(pc)
    found = [Observation(cause, _pcs(pcs), cause, cure) for (cause, cure), pcs in causes.items()]
    return [*found, *_away(seen, limit)]


def _away(seen: Sightings, limit: float) -> Iterator[Observation]:
    """Projects that do not answer at least half of their PCs, whatever these do meanwhile."""
    joined: dict[str, list[bool]] = {}
    for pc in seen.pcs.values():
        for project in pc.projects if pc.kind in (Kind.COMPUTING, Kind.IDLE) else ():
            joined.setdefault(project, []).append(project in pc.away)
    for project, away in sorted(joined.items()):
        if 2 * sum(away) >= len(away) and any(away):
            yield Observation(f"away {project}", project, f"{project} {_AWAY}", _AWAY_CURE, after=limit)


def _task_errors(seen: Sightings, settings: RuleSettings, _: Collection[str]) -> list[Observation]:
    found = []
    for share in seen.errors:
        if share.failed >= FEWEST_ERRORS and 100 * share.failed >= settings.task_errors * share.ended:
            per_cent = 100 * share.failed // share.ended
            worst = ", ".join(f"{_named(seen, mac)}: {count}" for mac, count in share.pcs[:5])
            cause = f"{per_cent} % of the tasks of {share.project} failed in the last day"
            detail = f"{share.failed} of {share.ended}; most on {worst}"
            found.append(Observation(share.project, cause, cause, _ERRORS_CURE, detail=detail))
    return found


def _named(seen: Sightings, mac: str) -> str:
    pc = seen.pcs.get(mac)
    return named(mac, pc.label if pc else "")


def _images(seen: Sightings, _s: RuleSettings, _k: Collection[str]) -> list[Observation] | None:
    images = seen.images
    if images is None:
        return None
    found = [Observation(f"built {each}", f"image {each} was built") for each in images.releases]
    if images.active:
        back = images.active < images.previous
        words = "rolled back: PCs boot" if back else "PCs boot"
        found.append(Observation(f"active {images.active} {images.previous}", f"{words} image {images.active} now"))
    if failed := images.failed:
        name = f"the build of an image failed: {failed.message}"
        found.append(Observation(f"failed {failed.invocation}", name, cure=failed.hint))
    if stopped := images.stopped:
        name = f"the update of the image stopped at the stage {stopped.stage}: {stopped.message}"
        found.append(Observation(f"failed update {stopped.at:.0f}", name, cure=stopped.hint))
    return found


def _canary(seen: Sightings, _s: RuleSettings, _k: Collection[str]) -> list[Observation]:
    canary = seen.canary
    if canary is None:
        return []
    name = f"canary image {canary.release} {_ENDED.get(canary.verdict, 'has ended')}"
    cure = _CANARY_CURE if canary.verdict == Ending.ROLLED_BACK else ""
    return [Observation(f"{canary.id} {canary.verdict}", name, canary.reason, cure)]


def _not_woken(seen: Sightings, _s: RuleSettings, _k: Collection[str]) -> list[Observation] | None:
    # What a server that is down does not see may have come.
    if not seen.serving:
        return None
    return [Observation(mac, named(mac, label), _NOT_WOKEN, _NOT_WOKEN_CURE, label) for mac, label in seen.not_woken]


def _kept_work(seen: Sightings, _s: RuleSettings, _k: Collection[str]) -> list[Observation]:
    return [
        Observation(
            f"{each.mac} {each.at}",
            named(each.mac, each.label),
            _DELETED_SOON,
            _DELETED_CURE,
            detail=f"kept until {datetime.fromtimestamp(each.until, seen.zone):%Y-%m-%d %H:%M}",
        )
        for each in seen.kept
        if each.until - seen.now <= SOON
    ]


def _disk(seen: Sightings, settings: RuleSettings, known: Collection[str]) -> list[Observation]:
    if seen.disk_used < settings.disk - (DISK_SLACK if "disk" in known else 0.0):
        return []
    name = f"the disk is {seen.disk_used:.0f} % full"
    return [Observation("disk", name, name, _DISK_CURE, detail=seen.disk)]


def _network(seen: Sightings, _s: RuleSettings, known: Collection[str]) -> list[Observation] | None:
    if not seen.serving:
        return None
    found = [Observation(f"claim {key}", words, words, _CLAIM_CURE) for key, words in seen.claims.items()]
    servers: dict[str, list[PcSighting]] = {}
    for pc in seen.pcs.values():
        if pc.dhcp_server:
            servers.setdefault(pc.dhcp_server, []).append(pc)
    # Beside the site's own DHCP server, the first one that is seen is that.
    first = not seen.leases and not any(key.startswith("dhcp ") for key in known)
    for server, pcs in sorted(servers.items()):
        cause = f"a DHCP server that was not seen before gives addresses: {server}"
        expected = first and len(servers) == 1
        found.append(Observation(f"dhcp {server}", cause, cause, _DHCP_CURE, detail=_pcs(pcs), expected=expected))
    return found


def _server(seen: Sightings, _s: RuleSettings, _k: Collection[str]) -> list[Observation]:
    if not seen.serving:
        cause = "the server is not running: no PC can boot"
        return [
            Observation("down", cause, cause, "sudo systemctl start netboot-appliance; journalctl -u netboot-appliance")
        ]
    return [Observation(what, what, what, cure) for what, cure in seen.trouble]


def _digest(seen: Sightings, settings: RuleSettings, _: Collection[str]) -> list[Observation]:
    latest = settings.digest.latest(seen.now, seen.zone)
    return [Observation(f"week {latest:.0f}", "the last seven days")]


def _pcs(pcs: Sequence[PcSighting]) -> str:
    """Some of the PCs, in words."""
    first = ", ".join(named(pc.mac, pc.label) for pc in pcs[:5])
    return f"{first} and {len(pcs) - 5} more" if len(pcs) > 5 else first


RULES = {
    rule.name: rule
    for rule in (
        Rule(RuleName.BOOTED, "PCs that came up", Tempo(60.0, DAY, over=False), _booted),
        Rule(RuleName.FAULTS, "PCs that do not come up, or cannot compute", Tempo(60.0, 1800.0, over=True), _faults),
        Rule(RuleName.SILENT, "PCs that are not heard any more", Tempo(75.0, 300.0, over=True), _silent),
        Rule(RuleName.KEY_REFUSED, "a project refuses the account key", Tempo(60.0, 1800.0, over=True), _key_refused),
        Rule(RuleName.NO_WORK, "PCs find no work, or a project is away", Tempo(60.0, 3600.0, over=True), _no_work),
        Rule(RuleName.TASK_ERRORS, "too many tasks fail", Tempo(60.0, DAY, over=False), _task_errors),
        Rule(RuleName.IMAGES, "images built, failed, activated", Tempo(15.0, 60.0, over=False), _images),
        Rule(RuleName.CANARY, "a canary image was promoted, or rolled back", Tempo(0.0, DAY, over=False), _canary),
        Rule(
            RuleName.NOT_WOKEN, "PCs that did not come when they were woken", Tempo(60.0, 60.0, over=True), _not_woken
        ),
        Rule(RuleName.KEPT_WORK, "work of a forgotten PC is deleted soon", Tempo(60.0, DAY, over=False), _kept_work),
        Rule(RuleName.DISK, "the server's disk fills up", Tempo(60.0, 3600.0, over=True), _disk),
        Rule(RuleName.NETWORK, "claimed addresses, new DHCP servers", Tempo(60.0, 7 * DAY, over=False), _network),
        Rule(RuleName.SERVER, "the server itself", Tempo(180.0, 300.0, over=True), _server),
        Rule(RuleName.DIGEST, "the week in figures", Tempo(0.0, DAY, over=False), _digest),
    )
}
"""By name, in the order in which people read them."""


def is_on(rule: RuleName, settings: RuleSettings) -> bool:
    """Whether the configuration has the rule switched on."""
    return getattr(settings, rule) not in (0, "", "off")


def setting(rule: RuleName, settings: RuleSettings) -> str:
    """What the configuration says of the rule, in words."""
    value = getattr(settings, rule)
    match rule:
        case _ if not is_on(rule, settings):
            return "off"
        case RuleName.BOOTED:
            return "each time" if value == "all" else "the first time"
        case RuleName.SILENT:
            return f"for {span(60.0 * value)}"
        case RuleName.NO_WORK:
            return f"for {span(3600.0 * value)}"
        case RuleName.TASK_ERRORS | RuleName.DISK:
            return f"from {value} %"
        case RuleName.DIGEST:
            return str(value)
        case _:
            return "on"
