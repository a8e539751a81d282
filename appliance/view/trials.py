"""Reads how a canary does: which PCs have booted it, how far they came, and what else it is judged by."""

from dataclasses import replace

from appliance.allowlist import Allowlist
from appliance.config.file import Config
from appliance.diagnosis.examination import diagnose
from appliance.heartbeats import census, store
from appliance.heartbeats.records import StoredHeartbeat
from appliance.heartbeats.states import condition
from appliance.images import rollout_table
from appliance.images.canary_choice import overlaps
from appliance.images.release_choice import ReleaseChoice, image_of
from appliance.images.rollout import Canary, Circumstances, Trial, release_of
from appliance.journal import history
from appliance.journal.timeline import Boot
from appliance.registry import disk, overview
from appliance.registry.database import Registry
from appliance.registry.server_lock import holder
from appliance.view.canary import RolloutState, canary_view, fallback_view
from appliance.view.facts import gather_evidence, server_facts
from appliance.view.releases import Releases, gather_releases
from image import release
from image.release import ReleaseError
from services.boinc.condition import Doing
from services.ethernet import MacAddress

_MOST_EXPLAINED = 100
"""PCs of which it is said why they do not compute."""


def gather_rollout(config: Config, registry: Registry, now: float) -> RolloutState:
    """Read how the canary does, and who went back. Nothing, if the directory of the releases cannot be read."""
    canary = rollout_table.latest(registry)
    judged = holder(config.registry, "control") is not None
    trials = gather_trials(config, registry, canary, now) if canary else []
    try:
        active = release.active_ids(config.images)
    except ReleaseError:
        active = {}
    return RolloutState(
        canary_view(canary, trials, now, judged=judged) if canary else None,
        tuple(
            fallback_view(each)
            for each in ReleaseChoice(registry, config.images).gone_back(active, registry.allowlist())
        ),
    )


def gather_all_releases(config: Config, registry: Registry) -> Releases:
    """Read the releases; one may have the state "canary"."""
    found, canary = gather_releases(config), rollout_table.open_canary(registry)
    states = {canary.release: "canary"} if canary else {}
    return replace(found, states={**states, **found.states})


def gather_trials(config: Config, registry: Registry, canary: Canary, now: float, *, keep: bool = False) -> list[Trial]:
    """The PCs that booted the canary, those left out that may not boot any more. `keep`: remember how many tasks those
    had returned before that are seen with it for the first time. 5,000 take a second."""
    allowlist = registry.allowlist()
    pcs = _boots(registry, canary, allowlist)
    beats = _heartbeats(registry, pcs)
    succeeded = {mac: _succeeded(beat) for mac, beat in beats.items()} if canary.proof.tasks else {}
    before = rollout_table.tasks_before(registry, canary.id, succeeded, keep=keep) if succeeded else {}
    evidence = gather_evidence(config, registry, now, known=allowlist)
    ended = census.ends_of_boots(registry)
    current = overview.latest_among(registry, [boots[-1].id for boots in pcs.values()])
    found, explained = [], 0
    for mac, boots in pcs.items():
        beat, entry = beats.get(mac), allowlist.decide(mac)
        computes = beat is not None and condition(beat).doing is Doing.COMPUTING
        why = ""
        if not computes and explained < _MOST_EXPLAINED:
            explained += 1
            wrong = diagnose(boots[-1], now, evidence.of(boots[-1], beat, ended.get(mac.value), now))
            why = wrong.words if wrong else ""
        name = f"{entry.label} ({mac})" if entry and entry.label else str(mac)
        tasks = succeeded[mac] - before[mac] if mac in succeeded and mac in before else 0
        found.append(Trial(mac, name, boots, computes, max(0, tasks), why, boots[-1].id not in current))
    return found


def gather_circumstances(config: Config, registry: Registry, canary: Canary) -> Circumstances:
    """What a canary is judged beside. Raises ReleaseError if the directory of the releases cannot be read."""
    allowlist = registry.allowlist()
    image = image_of(config.images, canary)
    among = rollout_table.known_among(registry, canary.ranges, allowlist)
    known = {mac for mac in among if allowlist.image_of(mac) == image}
    broken = ""
    try:
        release.read(config.images, canary.release)
    except ReleaseError as error:
        broken = str(error)
    exports = server_facts(registry).get("exports") or {}
    serving = "" if holder(config.registry) else "the server is not running"
    return Circumstances(
        active=release.active_id(config.images, image),
        broken=broken,
        known=known,
        allowed=bool(known) or any(overlaps(span, allowlist, image) for span in canary.ranges),
        trouble=serving or exports.get("error", "") or disk.look(config.server.data).trouble,
    )


def _boots(registry: Registry, canary: Canary, allowlist: Allowlist) -> dict[MacAddress, tuple[Boot, ...]]:
    rows = registry.boot_rows("WHERE id > ? AND release = ? ORDER BY id", (canary.after, canary.release))
    some: dict[MacAddress, list[Boot]] = {}
    for boot in history.read(registry, (row for row in rows if row.mac in allowlist)):
        if release_of(boot) == canary.release:
            some.setdefault(boot.mac, []).append(boot)
    return {mac: tuple(boots) for mac, boots in some.items()}


def _heartbeats(registry: Registry, pcs: dict[MacAddress, tuple[Boot, ...]]) -> dict[MacAddress, StoredHeartbeat]:
    """The latest heartbeat of each PC, if it is of its last boot with the canary."""
    found: dict[MacAddress, StoredHeartbeat] = {}
    for macs in rollout_table.in_batches(pcs):
        found.update(store.latest_of(registry, macs))
    return {mac: beat for mac, beat in found.items() if beat.boot == pcs[mac][-1].id}


def _succeeded(beat: StoredHeartbeat) -> int:
    return sum(project.succeeded for project in condition(beat).projects)
