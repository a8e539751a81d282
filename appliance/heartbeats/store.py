"""The latest heartbeat of each PC, as a table of the registry. Earlier ones are not kept."""

import json
from collections.abc import Collection, Iterable

from appliance.heartbeats import records
from appliance.heartbeats.records import StoredHeartbeat
from appliance.registry.database import Registry
from services.boinc.condition import doing_of
from services.ethernet import MacAddress

_dump = json.JSONEncoder(separators=(",", ":")).encode
_SELECT = "SELECT mac, boot, at, facts, boinc FROM heartbeats"


def write(registry: Registry, heartbeats: Iterable[StoredHeartbeat]) -> None:
    """Store heartbeats, each in the place of the PC's earlier one, within the caller's transaction."""
    rows = [
        (each.mac.value, each.boot, each.at, str(doing_of(each.boinc)), _dump(each.facts), each.boinc)
        for each in heartbeats
    ]
    registry.sql.executemany(
        "INSERT OR REPLACE INTO heartbeats (mac, boot, at, doing, facts, boinc) VALUES (?, ?, ?, ?, ?, ?)", rows
    )


def latest(registry: Registry, mac: MacAddress) -> StoredHeartbeat | None:
    """The PC's latest heartbeat."""
    with registry.reading("heartbeats"):
        row = registry.sql.execute(f"{_SELECT} WHERE mac = ?", (mac.value,)).fetchone()
        return records.heartbeat(row) if row else None


def latest_of(registry: Registry, macs: Collection[MacAddress]) -> dict[MacAddress, StoredHeartbeat]:
    """The latest heartbeats of these PCs, as far as they have sent one."""
    marks = ", ".join("?" * len(macs))
    with registry.reading("heartbeats"):
        rows = registry.sql.execute(f"{_SELECT} WHERE mac IN ({marks})", [mac.value for mac in macs])
        return {each.mac: each for each in map(records.heartbeat, rows)}


def latest_of_all(registry: Registry) -> dict[MacAddress, StoredHeartbeat]:
    """The latest heartbeat of every PC, by MAC address."""
    with registry.reading("heartbeats"):
        found = map(records.heartbeat, registry.sql.execute(f"{_SELECT} ORDER BY mac"))
        return {each.mac: each for each in found}
