"""Reads what the rules look at: the registry, the server's lock, the images and the disk. Decides nothing.

Five thousand PCs take a second of one processor, so whoever calls this waits in proportion (service.py).
"""

import shutil
import socket
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from appliance.config.file import Config
from appliance.control.notify import tally
from appliance.control.notify.sightings import FailedBuild, Images, PcSighting, Sightings, Week
from appliance.control.notify.tally import Counts, Tally
from appliance.diagnosis.examination import diagnose
from appliance.heartbeats import days
from appliance.heartbeats.states import Kind, condition, state
from appliance.images import build_unit
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
from appliance.view.facts import (
    MOST_NEWCOMERS,
    KnownClients,
    Signs,
    gather_clients,
    gather_evidence,
    gather_releases,
    server_facts,
)
from services.boinc.condition import Condition
from services.boinc.idleness import key_refused

_GOES_OFF = ("power off", "reboot to local disk")
_LATE = 600.0
"""Seconds before the end of a window, with its grace, after which a PC that falls silent has gone for that."""

_DOCTOR = "netboot-appliance doctor"


class Watch:
    """Looks at one box again and again."""

    def __init__(self) -> None:
        self._counts: Counts = {}

    def look(self, config: Config, registry: Registry, counted: Tally, now: float) -> tuple[Sightings, Tally]:
        """What is seen at `now`, in seconds since the epoch, and the tally of tasks with what was counted since the
        last look. `counted` is the tally until then."""
        pid = holder(config.registry)
        facts = server_facts(registry)
        pcs: dict[str, PcSighting] = {}
        counts: dict[tuple[str, str], tuple[int, int]] = {}
        windows = _Windows(config)
        for page in gather_clients(config, registry, None, -1, frozenset(), now):
            for client in page.clients:
                if boot := page.boots.get(client.mac):
                    first = client.first_seen >= boot.started - 1.0
                    pc, boinc = _pc(page, boot, windows, first, now)
                    pcs[pc.mac] = pc
                    for each in boinc.projects:
                        counts[pc.mac, each.name or each.url] = (each.succeeded, each.failed)
        for pc in _newcomers(config, registry, now):
            pcs.setdefault(pc.mac, pc)
        after = tally.add(counted, self._counts, counts, now)
        self._counts = counts
        room = disk.look(config.server.data)
        claims = address_claim_views(facts.get("claims", ()), registry.allowlist(), now) if pid else ()
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
            images=_images(config),
            errors=tally.shares(after),
            week=_week(registry, now),
        )
        return seen, after


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


def _pc(page: KnownClients, boot: Boot, windows: _Windows, first: bool, now: float) -> tuple[PcSighting, Condition]:
    signs = page.signs.get(boot.mac, Signs())
    entry = page.allowlist.decide(boot.mac)
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
        first=first,
        address=str(boot.addresses[-1]) if boot.addresses else "",
        fault=diagnose(boot, now, page.evidence.of(boot, signs.heartbeat, signs.ended, now)) if entry else None,
        refused=is_up and key_refused(boinc),
        idle_since=boinc.since if does.kind is Kind.IDLE else 0.0,
        projects=frozenset(each.url for each in boinc.projects if not each.suspended),
        away=frozenset(each.url for each in boinc.projects if each.scheduler_failures and not each.suspended),
        may_be_off=not entry or (silent and windows.may_be_off(entry.settings.schedule, does.heard)),
        dhcp_server=str(boot.dhcp_server) if boot.dhcp_server and not boot.leased_by_us else "",
    )
    return pc, boinc


def _newcomers(config: Config, registry: Registry, now: float) -> list[PcSighting]:
    """PCs that are allowed and were offered something, and have loaded nothing, as far as something is wrong."""
    allowlist, seen = registry.allowlist(), gather_evidence(config, registry, now)
    found = []
    for boot in history.read(registry, overview.newcomers_boots(registry, MOST_NEWCOMERS)):
        entry = allowlist.decide(boot.mac)
        fault = diagnose(boot, now, seen.of(boot, None, None, now))
        if entry and fault:
            does = state(boot, None, None, now)
            found.append(
                PcSighting(
                    str(boot.mac),
                    entry.label,
                    does.kind,
                    does.words,
                    does.heard,
                    boot.id,
                    boot.started,
                    fault=fault,
                    loads=False,
                )
            )
    return found


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
        found = gather_releases(config.images)
        by_state = {state: ident for ident, state in found.states.items()}
        releases = tuple(each.id for each in found.releases)
        return Images(releases, by_state.get("active", ""), by_state.get("previous", ""), failed)
    return None


def _week(registry: Registry, now: float) -> Week:
    today = int(now // 86400)
    found = days.totals(registry, today - 7, today - 1)
    return Week(
        powered=sum(day.powered for day in found) / 3600,
        computed=sum(day.computed for day in found) / 3600,
        credit=sum(day.credit for day in found),
        pcs=max((day.pcs for day in found), default=0),
    )
