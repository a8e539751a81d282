"""PCs that their owners took back, and until when the box leaves them alone. A table of the registry.

Until then it neither wakes them nor boots its live system there, unless `boot next` says so. Nothing is decided here:
who wakes and who boots asks.
"""

from appliance.registry import rows
from appliance.registry.database import Registry
from services.ethernet import MacAddress


def give(registry: Registry, mac: MacAddress, now: float, until: float) -> None:
    """Leave the PC alone until then, whatever was said of it before. Both are in seconds since the epoch."""
    with registry.edit():
        write(registry, mac, now, until)


def write(registry: Registry, mac: MacAddress, now: float, until: float) -> None:
    """What `give` does, within the caller's edit. Those that are over are deleted."""
    registry.sql.execute("DELETE FROM respites WHERE until <= ? OR mac = ?", (now, mac.value))
    if until > now:
        registry.sql.execute("INSERT INTO respites VALUES (?, ?, ?)", (mac.value, now, until))


def of(registry: Registry) -> dict[MacAddress, float]:
    """Until when each of these PCs is left alone, in seconds since the epoch; some may be over. Raises UserError for a
    registry that is damaged."""
    with registry.reading("respites"):
        found = registry.sql.execute("SELECT mac, until FROM respites ORDER BY mac")
        return {rows.mac(number): rows.moment(until) for number, until in found}
