"""Reads what the rules look at: the registry, the server's lock, the images and the disk. Decides nothing.

Five thousand PCs take a second of one processor at first, and then, with a heartbeat a minute, a quarter of that.
"""

import shutil
import socket
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from appliance.allowlist import Allowlist
from appliance.config.file import Config
from appliance.control.fleet import reader
from appliance.control.fleet.changes import SELDOM, SET_BACK, Mark, differing, due
from appliance.control.fleet.reader import Marks
from appliance.control.notify import tally
from appliance.control.notify.sightings import (
    EndedCanary,
    FailedBuild,
    Images,
    KeptSighting,
    PcSighting,
    Sightings,
    StoppedUpdate,
    Week,
)
from appliance.control.notify.tally import Counts, Tally
from appliance.diagnosis.examination import diagnose
from appliance.exports import kept_list
from appliance.heartbeats import days, store
from appliance.heartbeats.states import Kind, condition, state
from appliance.images import build_unit, notes, rollout_table
from appliance.images.renewal import RenewalStage
from appliance.journal import history
from appliance.journal.timeline import Boot, Stage
from appliance.page import address
from appliance.registry import disk, overview
from appliance.registry.database import Registry
from appliance.registry.reload_result import ReloadResult
from appliance.registry.reload_result import read as read_reload_result
from appliance.registry.server_lock import holder
from appliance.schedules.schedule import Schedule
from appliance.view.address_claims import address_claim_views
from appliance.view.evidence import Evidence
from appliance.view.facts import Signs, gather_evidence, server_facts
from appliance.view.releases import gather_releases
from appliance.wake.absence import absent
from services.boinc.condition import Condition
from services.boinc.idleness import key_refused
from services.ethernet import MacAddress

_GOES_OFF = ("power off", "reboot to local disk")
_LATE = 600.0
"""Seconds before the end of a window, with its grace, after which a PC that falls silent has gone for that."""

_BATCH = 100
_REST = 0.005
"""Seconds after each batch of PCs."""

_MOST_SETS = 1000

_DOCTOR = "netboot-appliance doctor"


@dataclass(frozen=True, slots=True)
class _SeenPc:
    """A PC as it was read: its mark (appliance/control/fleet/changes.py), when to read it again in any case, and its
    projects' names with how many tasks succeeded and failed. `pc` is None if there is nothing to see."""

    mark: Mark
    due: float
    pc: PcSighting | None = None
    counts: tuple[tuple[str, int, int], ...] = ()


class Watch:
    """Looks at one box again and again, and reads only the PCs that changed, or that time changes. For one thread.

    What is kept of a PC is one value: Python's garbage collector stops everything while it looks at all that is kept.
    """

    def __init__(self) -> None:
        self._kept: dict[int, _SeenPc] = {}
        self._counts: Counts = {}
        self._around: tuple[Config | None, Allowlist, Evidence] = (None, Allowlist.of([]), Evidence())
        self._sets: dict[frozenset[str], frozenset[str]] = {}
        self._at = 0.0

    def look(self, config: Config, registry: Registry, counted: Tally, now: float) -> tuple[Sightings, Tally]:
        """What is seen at `now`, in seconds since the epoch, and the tally of tasks with what was counted since the
        last look. `counted` is the tally until then."""
        if now < self._at - SET_BACK:
            self._kept.clear()
        self._at = now
        pid = holder(config.registry)
        facts = server_facts(registry)
        allowlist = registry.allowlist()
        evidence = gather_evidence(config, registry, now, facts if pid else {}, allowlist)
        self._read(config, registry, allowlist, evidence, now)
        pcs = {kept.pc.mac: kept.pc for kept in self._kept.values() if kept.pc}
        counts = {
            (kept.pc.mac, name): (succeeded, failed)
            for kept in self._kept.values()
            if kept.pc
            for name, succeeded, failed in kept.counts
        }
        after = tally.add(counted, self._counts, counts, now)
        self._counts = counts
        room = disk.look(config.server.data)
        claims = address_claim_views(facts.get("claims", ()), allowlist, now) if pid else ()
        seen = Sightings(
            now=now,
            box=socket.gethostname(),
            page=page_of(config),
            zone=zone_of(config),
            serving=pid is not None,
            started=facts.get("started", 0.0),
            leases=config.dhcp.mode == "server",
            trouble=_trouble(facts, room.trouble, read_reload_result(registry) if pid else None),
            pcs=pcs,
            disk_used=_used(config.server.data),
            disk=room.room,
            claims={f"{each.address} {each.claimant}": each.words for each in claims},
            not_woken=_not_woken(registry, allowlist),
            images=_images(config),
            canary=_canary(registry),
            kept=tuple(_kept(config, allowlist)),
            errors=tally.shares(after),
            week=_week(registry, now),
        )
        return seen, after

    def _read(self, config: Config, registry: Registry, allowlist: Allowlist, evidence: Evidence, now: float) -> None:
        marks = reader.read_marks(registry, allowlist)
        stale = self._stale(marks.pcs, now) | self._changed_around(config, allowlist, evidence)
        self._around = (config, allowlist, evidence)
        for gone in self._kept.keys() - marks.pcs.keys():
            del self._kept[gone]
        windows = _Windows(config)
        chosen = sorted(stale & marks.pcs.keys())
        for at in range(0, len(chosen), _BATCH):
            self._read_some(registry, chosen[at : at + _BATCH], marks, windows, now)
            # The event loop is not to wait long for the interpreter.
            time.sleep(_REST)

    def _stale(self, marks: Mapping[int, Mark], now: float) -> set[int]:
        """The PCs that changed, and those that time has changed."""
        kept = self._kept
        return {
            mac for mac, mark in marks.items() if (old := kept.get(mac)) is None or old.mark != mark or old.due <= now
        }

    def _changed_around(self, config: Config, allowlist: Allowlist, evidence: Evidence) -> set[int]:
        """The PCs whose evidence changed: all of them, if that is the configuration or the allowlist."""
        old_config, old_allowlist, old = self._around
        if (
            config is not old_config
            or allowlist != old_allowlist
            or (evidence.menu, evidence.box) != (old.menu, old.box)
        ):
            return set(self._kept)
        names = (*differing(old.refused, evidence.refused), *differing(old.claims, evidence.claims))
        found = set()
        for name in names:
            with suppress(ValueError):
                found.add(MacAddress.parse(name).value)
        return found

    def _read_some(
        self, registry: Registry, macs: Sequence[int], marks: Marks, windows: "_Windows", now: float
    ) -> None:
        clients, rows = overview.clients_of(registry, [MacAddress(mac) for mac in macs if mac not in marks.new])
        first_seen = {client.mac: client.first_seen for client in clients}
        fresh = [row for mac in macs if mac in marks.new and (row := registry.latest_boot(MacAddress(mac)))]
        for mac in macs:
            # One that has no boot any more is kept as nothing, so that it is not read each time.
            self._kept[mac] = _SeenPc(marks.pcs[mac], now + SELDOM)
        for boot in history.read(registry, [*rows, *fresh]):
            signs = Signs(store.latest(registry, boot.mac), marks.ended.get(boot.mac.value))
            pc, boinc = self._pc(boot, signs, first_seen.get(boot.mac), windows, now)
            beat = signs.heartbeat.at if signs.heartbeat and signs.heartbeat.boot == boot.id else None
            counts = tuple((each.name or each.url, each.succeeded, each.failed) for each in boinc.projects)
            due_at = due(now, boot.last_event, beat, boot.under_way)
            seen = pc if pc.loads or pc.fault else None
            self._kept[boot.mac.value] = _SeenPc(marks.pcs[boot.mac.value], due_at, seen, counts)

    def _pc(
        self, boot: Boot, signs: Signs, first_seen: float | None, windows: "_Windows", now: float
    ) -> tuple[PcSighting, Condition]:
        _, allowlist, evidence = self._around
        entry = allowlist.decide(boot.mac)
        does = state(boot, signs.heartbeat, signs.ended, now)
        boinc = condition(signs.heartbeat) if signs.heartbeat and signs.heartbeat.boot == boot.id else Condition()
        is_up = does.kind in (Kind.COMPUTING, Kind.IDLE, Kind.SUSPENDED)
        silent = does.kind is Kind.SILENT
        pc = PcSighting(
            mac=str(boot.mac),
            label=entry.label if entry else "",
            kind=does.kind,
            state=does.words,
            heard=does.heard,
            boot=boot.id,
            started=boot.started,
            came_up=boot.has_reached(Stage.REPORTED) or boot.has_reached(Stage.COMPUTING),
            first=first_seen is not None and first_seen >= boot.started - 1.0,
            address=str(boot.addresses[-1]) if boot.addresses else "",
            fault=diagnose(boot, now, evidence.of(boot, signs.heartbeat, signs.ended, now)) if entry else None,
            refused=is_up and key_refused(boinc),
            idle_since=boinc.since if does.kind is Kind.IDLE else 0.0,
            projects=self._shared(each.url for each in boinc.projects if not each.suspended),
            away=self._shared(each.url for each in boinc.projects if each.scheduler_failures and not each.suspended),
            may_be_off=not entry or (silent and windows.may_be_off(entry.settings.schedule, does.heard)),
            dhcp_server=str(boot.dhcp_server) if boot.dhcp_server and not boot.leased_by_us else "",
            loads=first_seen is not None,
        )
        return pc, boinc

    def _shared(self, names: Iterable[str]) -> frozenset[str]:
        """The names as a set: one for all PCs with the same."""
        found = frozenset(names)
        if len(self._sets) > _MOST_SETS:
            self._sets.clear()
        return self._sets.setdefault(found, found)


def page_of(config: Config) -> str:
    """The address of the page, or empty if it has none now."""
    return config.notify.page or (next(iter(address.urls(config)), "") if config.control.enabled else "")


def zone_of(config: Config) -> tzinfo:
    """The time zone in which people read moments."""
    return ZoneInfo(config.time_zone) if config.time_zone else UTC


def is_quiet(config: Config, now: float) -> bool:
    """Whether nothing is to be told at `now`."""
    windows = config.notify.quiet
    return bool(windows) and now in Schedule(windows, zone_of(config)).window(now)


class _Windows:
    """When the PCs of a range may be off, for one look."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._known: dict[tuple[str, int], bool] = {}

    def may_be_off(self, schedule: str, heard: float) -> bool:
        """Whether a PC with this schedule that was heard last at `heard` has gone because its window ended."""
        key = (schedule, int(heard // 60))
        if schedule and key not in self._known:
            self._known[key] = self._off(schedule, heard)
        return self._known.get(key, False)

    def _off(self, name: str, heard: float) -> bool:
        settings = self._config.schedule(name)
        if settings is None or settings.at_end not in _GOES_OFF:
            return False
        window = settings.schedule(self._config.time_zone).window(heard)
        return heard not in window or (window.end is not None and window.end <= heard + settings.grace + _LATE)


def _trouble(facts: Mapping[str, Any], full: str, reload: ReloadResult | None) -> tuple[tuple[str, str], ...]:
    """What is wrong with the server itself, each with what to do."""
    found = [(f"PCs cannot reach the server: {line}", _DOCTOR) for line in facts.get("trouble", ())]
    if (exports := facts.get("exports")) and exports["error"]:
        found.append((f"the exports are not in force: {exports['error']}", "sudo netboot-appliance exports apply"))
    if full:
        found.append((f"nothing can be saved: {full}", f"make room on it; {_DOCTOR}"))
    if reload and reload.error:
        words = f"the configuration was changed and is not in force: {reload.error}"
        found.append((words, reload.hint or "netboot-appliance config check"))
    return tuple(found)


def _used(path: Path) -> float:
    """How much of the file system is in use, in per cent."""
    while not path.exists():
        path = path.parent
    found = shutil.disk_usage(path)
    return 100.0 * found.used / max(found.used + found.free, 1)


def _images(config: Config) -> Images | None:
    failure = build_unit.last_failure()
    failed = FailedBuild(*failure) if failure else None
    with suppress(OSError):
        found = gather_releases(config)
        releases = tuple(each.id for each in found.releases)
        return Images(releases, found.having("active"), found.having("previous"), failed, _stopped(config, failed))
    return None


def _stopped(config: Config, build: FailedBuild | None) -> StoppedUpdate | None:
    """The latest update, if it stopped; unless the `build` that failed is what stopped it, which is told already."""
    run = notes.latest_run(config.images)
    if run is None or not run.failed:
        return None
    if run.stage == RenewalStage.BUILD and build is not None and run.words.endswith(build.message):
        return None
    return StoppedUpdate(run.at, run.stage, run.release, run.words, run.hint)


def _not_woken(registry: Registry, allowlist: Allowlist) -> tuple[tuple[str, str], ...]:
    found = ((each.mac, allowlist.decide(each.mac)) for each in absent(registry))
    return tuple((str(mac), entry.label) for mac, entry in found if entry)


def _kept(config: Config, allowlist: Allowlist) -> Iterator[KeptSighting]:
    for each in kept_list.read(config):
        entry = allowlist.decide(each.mac)
        yield KeptSighting(str(each.mac), entry.label if entry else "", each.at, each.until)


def _canary(registry: Registry) -> EndedCanary | None:
    found = rollout_table.latest(registry)
    if found is None or found.ended is None:
        return None
    return EndedCanary(found.id, found.release, found.verdict, found.reason)


def _week(registry: Registry, now: float) -> Week:
    today = int(now // 86400)
    found = days.totals(registry, today - 7, today - 1)
    return Week(
        powered=sum(day.powered for day in found) / 3600,
        computed=sum(day.computed for day in found) / 3600,
        credit=sum(day.credit for day in found),
        pcs=max((day.pcs for day in found), default=0),
    )
