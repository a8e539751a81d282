"""What the box has learned about firmware, as a table of the registry."""

from collections.abc import Iterable

from appliance.firmware.knowledge import FirmwareKnowledge, Why
from appliance.registry import rows
from appliance.registry.database import Registry
from services.dhcp.plan import Profile
from services.ethernet import MacAddress

Rows = tuple[FirmwareKnowledge, ...]


def read(registry: Registry) -> dict[MacAddress, Rows]:
    """What is stored about each client, with the firmware heard last at the end. Skips rows of a newer version."""
    found: dict[MacAddress, Rows] = {}
    with registry.reading("adaptations"):
        query = "SELECT mac, fingerprint, profile, worked, why, at FROM adaptations ORDER BY mac, at"
        for number, fingerprint, profile, worked, why, at in registry.sql.execute(query):
            address, name, since = rows.mac(number), rows.text(fingerprint), rows.moment(at)
            try:
                known = FirmwareKnowledge(name, Profile(profile), bool(worked), Why(why), since)
            except ValueError:
                continue
            found[address] = (*found.get(address, ()), known)
    return found


def forget(registry: Registry, macs: Iterable[MacAddress]) -> int:
    """Delete what was learned about these clients; returns for how many of them something was stored."""
    with registry.transaction():
        return sum(
            registry.sql.execute("DELETE FROM adaptations WHERE mac = ?", (mac.value,)).rowcount > 0 for mac in macs
        )


def stored(registry: Registry, mac: MacAddress) -> bool:
    """Whether anything is stored about this client."""
    return registry.sql.execute("SELECT 1 FROM adaptations WHERE mac = ?", (mac.value,)).fetchone() is not None


def write(registry: Registry, mac: MacAddress, known: Rows) -> None:
    """Replace what is stored about this client by `known`, within the caller's transaction."""
    registry.sql.execute("DELETE FROM adaptations WHERE mac = ?", (mac.value,))
    registry.sql.executemany(
        "INSERT INTO adaptations (mac, fingerprint, profile, worked, why, at) VALUES (?, ?, ?, ?, ?, ?)",
        [(mac.value, k.fingerprint, k.profile.value, k.worked, k.why.value, k.at) for k in known],
    )
