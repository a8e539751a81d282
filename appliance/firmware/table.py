"""What the box has learned about firmware, as a table of the registry."""

from collections.abc import Iterable

from appliance.firmware.knowledge import FirmwareKnowledge, Successes, Why
from appliance.registry import rows
from appliance.registry.database import Registry
from services.dhcp.plan import Profile
from services.ethernet import MacAddress

Rows = tuple[FirmwareKnowledge, ...]


_SPECIAL = "SELECT mac FROM adaptations WHERE profile != ? OR why != ? GROUP BY mac ORDER BY max(at) DESC LIMIT ?"


def read(registry: Registry) -> dict[MacAddress, Rows]:
    """What is stored about each client, with the firmware heard last at the end. Skips rows of a newer version."""
    return _select(registry, "", ())


def read_special(registry: Registry, most: int) -> dict[MacAddress, Rows]:
    """What is stored about `most` clients that need, or needed, another offer than the standard one: the latest."""
    return _select(registry, f"WHERE mac IN ({_SPECIAL})", (Profile.STANDARD.value, Why.USUAL.value, most))


def read_of(registry: Registry, mac: MacAddress) -> Rows:
    """What is stored about one client."""
    return _select(registry, "WHERE mac = ?", (mac.value,)).get(mac, ())


def _select(registry: Registry, condition: str, values: tuple[object, ...]) -> dict[MacAddress, Rows]:
    found: dict[MacAddress, Rows] = {}
    query = f"SELECT mac, fingerprint, profile, worked, why, at FROM adaptations {condition} ORDER BY mac, at"  # noqa: S608
    with registry.reading("adaptations"):
        for number, fingerprint, profile, worked, why, at in registry.sql.execute(query, values):
            address, name, since = rows.mac(number), rows.text(fingerprint), rows.moment(at)
            try:
                known = FirmwareKnowledge(name, Profile(profile), bool(worked), Why(why), since)
            except ValueError:
                continue
            found[address] = (*found.get(address, ()), known)
    return found


def stored(registry: Registry) -> set[int]:
    """The MAC addresses about which something is stored, as numbers."""
    return {value for (value,) in registry.sql.execute("SELECT DISTINCT mac FROM adaptations")}


def successes(registry: Registry) -> Successes:
    """What worked for all clients together."""
    rows = registry.sql.execute(
        "SELECT fingerprint, profile, count(*), max(at) FROM adaptations WHERE worked GROUP BY fingerprint, profile"
    )
    known = set(Profile)
    return Successes((each[0], Profile(each[1]), each[2], each[3]) for each in rows if each[1] in known)


def forget(registry: Registry, macs: Iterable[MacAddress]) -> int:
    """Delete what was learned about these clients; returns for how many of them something was stored."""
    with registry.edit():
        return sum(
            registry.sql.execute("DELETE FROM adaptations WHERE mac = ?", (mac.value,)).rowcount > 0 for mac in macs
        )


def is_stored(registry: Registry, mac: MacAddress) -> bool:
    """Whether anything is stored about this client."""
    return registry.sql.execute("SELECT 1 FROM adaptations WHERE mac = ?", (mac.value,)).fetchone() is not None


def write(registry: Registry, mac: MacAddress, known: Rows) -> None:
    """Replace what is stored about this client by `known`, within the caller's transaction."""
    registry.sql.execute("DELETE FROM adaptations WHERE mac = ?", (mac.value,))
    registry.sql.executemany(
        "INSERT INTO adaptations (mac, fingerprint, profile, worked, why, at) VALUES (?, ?, ?, ?, ?, ?)",
        [(mac.value, k.fingerprint, k.profile.value, k.worked, k.why.value, k.at) for k in known],
    )
