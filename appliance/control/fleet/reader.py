"""Reads from the registry what the room shows: the marks of all PCs, and all of those that changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from appliance.allowlist import Allowlist
from appliance.config.file import Config
from appliance.control.fleet import changes
from appliance.control.fleet.changes import Mark
from appliance.control.fleet.needs import Need, of_box
from appliance.control.fleet.pcs import PcFacts, facts
from appliance.exports import kept_list
from appliance.heartbeats import census, days, store
from appliance.heartbeats.states import EndOfBoot, Kind, condition
from appliance.heartbeats.work import PcWork, work_in
from appliance.journal import history
from appliance.journal.timeline import Boot
from appliance.registry import overview, reload_result
from appliance.registry.database import Registry
from appliance.registry.records import BootRow, Client
from appliance.registry.rows import moment, whole
from appliance.registry.server_lock import holder
from appliance.view.clients import ClientView, client_views
from appliance.view.days import DayView, day_views, span_of
from appliance.view.evidence import Evidence
from appliance.view.facts import KnownClients, Signs, gather_evidence, server_facts
from appliance.view.kept_work import kept_work_view
from appliance.view.refused import refused_macs
from image import release
from image.release import ReleaseError
from services.ethernet import MacAddress

DAYS = 90
"""Days that are plotted."""

_WITH_TASKS = (Kind.COMPUTING, Kind.SUSPENDED)

MOST_NEW = 50
"""PCs shown that may boot, asked, and have not loaded anything: the latest."""


@dataclass(frozen=True, slots=True)
class Marks:
    """`pcs`: the marks of all PCs, by the numbers of their MAC addresses; `new`: those that have loaded nothing."""

    pcs: Mapping[int, Mark] = field(default_factory=dict)
    new: frozenset[int] = frozenset()
    ended: Mapping[int, EndOfBoot] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is read beside the PCs. `refused`: how many machines asked and may not boot; `image`: the active release."""

    evidence: Evidence = field(default_factory=Evidence)
    box: tuple[Need, ...] = ()
    refused: int = 0
    image: str = ""


@dataclass(frozen=True, slots=True)
class ReadPc:
    """A PC as it was read, as the API lists it, its work, and when to read it again if nothing changes."""

    facts: PcFacts
    view: ClientView
    work: PcWork
    due: float


def read_marks(registry: Registry, allowlist: Allowlist) -> Marks:
    """The marks now. Only indices are read."""
    known, ended = registry.known(), census.ends_of_boots(registry)
    with registry.reading("heartbeats"):
        beats = {mac: (boot, at) for mac, boot, at in registry.sql.execute("SELECT mac, boot, at FROM heartbeats")}
    found: dict[int, Mark] = dict.fromkeys(known, ())
    asking: list[tuple[float, int]] = []
    with registry.reading("boots"):
        for boot, mac, stage, last_at in registry.sql.execute("SELECT id, mac, stage, last_at FROM boots WHERE latest"):
            if mac not in known:
                asking.append((moment(last_at), whole(mac)))
            found[mac] = (boot, stage, last_at, *beats.get(mac, ()), *ended.get(mac, ()))
    asking.sort(reverse=True)
    new = frozenset([mac for _, mac in asking if allowlist.allows_number(mac)][:MOST_NEW])
    for _, mac in asking:
        if mac not in new:
            del found[mac]
    return Marks(found, new, ended)


def read_surroundings(config: Config, registry: Registry, allowlist: Allowlist, now: float) -> Surroundings:
    """What is read beside the PCs, at `now`, in seconds since the epoch."""
    running = holder(config.registry) is not None
    server: Mapping[str, Any] = server_facts(registry) if running else {}
    evidence = gather_evidence(config, registry, now, server, allowlist)
    try:
        image = release.current(config.images)
    except ReleaseError:
        image = None
    results = (reload_result.read(registry, of) for of in (reload_result.SERVER, reload_result.PAGE))
    reload = next((each for each in results if each and each.error), None)
    refused = len(refused_macs(registry.ignored(), allowlist))
    kept = kept_work_view(kept_list.read(config), now)
    box = of_box(running, server, reload, evidence.box, image is not None, kept)
    return Surroundings(evidence, box, refused, image.id if image else "")


def read_days(registry: Registry, now: float) -> list[DayView]:
    """What all PCs did on each of the last days."""
    first, last = span_of(DAYS, now)
    return day_views(days.totals(registry, first, last), first, last)


def read_pcs(
    registry: Registry, macs: Sequence[int], marks: Marks, allowlist: Allowlist, evidence: Evidence, now: float
) -> list[ReadPc]:
    """These PCs, by the numbers of their MAC addresses, at `now`; those that were forgotten meanwhile are left out."""
    loaded = [MacAddress(mac) for mac in macs if mac not in marks.new]
    clients, rows = overview.clients_of(registry, loaded)
    fresh = [row for mac in macs if mac in marks.new and (row := registry.latest_boot(MacAddress(mac)))]
    return [
        *_read(registry, clients, rows, True, marks, allowlist, evidence, now),
        *_read(registry, [_newcomer(row) for row in fresh], fresh, False, marks, allowlist, evidence, now),
    ]


def _newcomer(row: BootRow) -> Client:
    return Client(0, row.mac, row.started, "")


def _read(
    registry: Registry,
    clients: Sequence[Client],
    rows: Sequence[BootRow],
    loaded: bool,
    marks: Marks,
    allowlist: Allowlist,
    evidence: Evidence,
    now: float,
) -> list[ReadPc]:
    boots = {boot.mac: boot for boot in history.read(registry, rows)}
    heard = store.latest_of(registry, [client.mac for client in clients])
    signs = {client.mac: Signs(heard.get(client.mac), marks.ended.get(client.mac.value)) for client in clients}
    views = client_views(KnownClients(clients, boots, allowlist, 0, evidence, signs), now)
    read = []
    for client, view in zip(clients, views, strict=True):
        entry = allowlist.decide(client.mac)
        beat = signs[client.mac].heartbeat
        boot = boots.get(client.mac)
        current = beat if beat and boot and beat.boot == boot.id else None
        at_work = view.now is not None and view.now.kind in _WITH_TASKS
        boinc = condition(current if at_work else None)
        due = _due(boot, current.at if current else None, now)
        read.append(ReadPc(facts(view, entry, loaded, boinc), view, work_in(beat, now), due))
    return read


def _due(boot: Boot | None, beat_at: float | None, now: float) -> float:
    if boot is None:
        return now + changes.SELDOM
    return changes.due(now, boot.last_event, beat_at, boot.under_way)
