"""Boots as the registry has them: each client's latest, and those before it."""

from collections.abc import Iterable
from ipaddress import IPv4Address

from appliance.journal.codec import decoded, with_state
from appliance.journal.timeline import Boot, replay
from appliance.registry.database import Registry
from appliance.registry.records import BootRow
from services.ethernet import MacAddress

PAGE = 20
"""Boots of one client that are shown at once."""


def latest(registry: Registry) -> list[Boot]:
    """Every client's latest boot, from the registry."""
    return read(registry, registry.latest_boots())


def latest_of(registry: Registry, mac: MacAddress) -> Boot | None:
    """The client's latest boot, from the registry."""
    row = registry.latest_boot(mac)
    return read_one(registry, row)[0] if row else None


def history(registry: Registry, mac: MacAddress, most: int = PAGE, before: int | None = None) -> list[Boot]:
    """The client's last boots, oldest first; `before`: of those before the boot with this number. Of boots long ago
    only the state is kept (appliance/registry/retention.py)."""
    return read(registry, registry.boots(mac, most, before))


def read(registry: Registry, rows: Iterable[BootRow]) -> list[Boot]:
    """The boots of these rows."""
    return [read_one(registry, row)[0] for row in rows]


def read_one(registry: Registry, row: BootRow) -> tuple[Boot, bool]:
    """A boot, and whether its events had to be folded."""
    with registry.reading("boots"):
        begun = opened(row)
    boot = with_state(begun, row.state) if row.state else None
    if boot is not None:
        return boot, False
    with registry.reading("events"):
        return replay(begun, decoded(registry.events(row.id))), True


def opened(row: BootRow) -> Boot:
    """A boot of which nothing has happened yet."""
    inherited = tuple(IPv4Address(address) for address in row.inherited.split())
    return Boot(row.id, row.mac, row.started, row.token, row.release, last_event=row.started, inherited=inherited)
