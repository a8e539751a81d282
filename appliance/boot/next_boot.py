"""`boot next MAC ENTRY`: what a PC starts at its next boot, and only then. A table of the registry.

A boot takes its entry when its menu is first made, and keeps it: a PC that asks again during that boot gets the same.
A running server sees new entries within a quarter of a second.
"""

from dataclasses import dataclass

from appliance.registry import rows
from appliance.registry.database import Registry
from services.ethernet import MacAddress


@dataclass(frozen=True, slots=True)
class NextBoot:
    """`entry` is for the PC's next boot, or, if `taken`, for the boot that has begun since."""

    mac: MacAddress
    entry: str
    taken: bool


def ask(registry: Registry, mac: MacAddress, entry: str) -> None:
    """Have the next boot of `mac` start `entry`, whatever was asked for before."""
    with registry.edit():
        write(registry, mac, entry)


def write(registry: Registry, mac: MacAddress, entry: str) -> None:
    """What `ask` does, within the caller's edit."""
    registry.sql.execute("INSERT OR REPLACE INTO next_boots (mac, entry) VALUES (?, ?)", (mac.value, entry))


def clear(registry: Registry, mac: MacAddress) -> bool:
    """Cancel what was asked for, unless a boot has taken it; False if there was nothing to cancel."""
    with registry.edit():
        return withdraw(registry, mac)


def withdraw(registry: Registry, mac: MacAddress, entry: str = "") -> bool:
    """What `clear` does, within the caller's transaction; with `entry`, only if that was asked for."""
    done = registry.sql.execute(
        "DELETE FROM next_boots WHERE mac = ? AND boot IS NULL AND ? IN ('', entry)", (mac.value, entry)
    )
    return done.rowcount > 0


def take(registry: Registry, mac: MacAddress, boot: int) -> str:
    """The entry that the boot with this number starts, or empty. Writes only if there is one."""
    with registry.reading("next_boots"):
        row = registry.sql.execute("SELECT entry, boot FROM next_boots WHERE mac = ?", (mac.value,)).fetchone()
    if row is None:
        return ""
    entry, taken = str(row[0]), row[1]
    with registry.transaction():
        if taken is None:
            registry.sql.execute("UPDATE next_boots SET boot = ? WHERE mac = ?", (boot, mac.value))
        elif taken != boot:
            registry.sql.execute("DELETE FROM next_boots WHERE mac = ?", (mac.value,))
            return ""
    return entry


class NextBoots:
    """For a running server: it asks the registry only for PCs that had an entry at the last `refresh`."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._macs: frozenset[int] = frozenset()
        self.refresh()

    def refresh(self) -> None:
        """See which PCs have entries; raises an error of SQLite."""
        self._macs = frozenset(mac for (mac,) in self._registry.sql.execute("SELECT mac FROM next_boots"))

    def take(self, mac: MacAddress, boot: int) -> str:
        """Like the function `take`."""
        return take(self._registry, mac, boot) if mac.value in self._macs else ""


def all_of(registry: Registry) -> list[NextBoot]:
    """All entries that were asked for or taken, sorted by MAC address."""
    with registry.reading("next_boots"):
        found = registry.sql.execute("SELECT mac, entry, boot IS NOT NULL FROM next_boots ORDER BY mac")
        return [NextBoot(rows.mac(number), rows.text(entry), bool(taken)) for number, entry, taken in found]
