"""Whether a PC gets the live system or its own disk now, from the configuration and the registry."""

from appliance.allowlist import Allowlist, Entry
from appliance.config.file import Config
from appliance.registry.database import Registry
from appliance.schedules import holds, respites
from appliance.schedules.effective import Outside, outside
from appliance.schedules.hold import Hold, Holds
from appliance.schedules.schedule import Schedule
from services.ethernet import MacAddress


def schedule_of(config: Config, name: str) -> Schedule | None:
    """The schedule of this name; None for PCs that compute at any time, as those do whose schedule is lost."""
    settings = config.schedule(name) if name else None
    return settings.schedule(config.time_zone) if settings else None


def outside_of(config: Config, entry: Entry, hold: Hold | None, respite: float | None, now: float) -> Outside | None:
    """Why a PC that this entry allows gets its own disk at `now`, in seconds since the epoch; None if it gets the live
    system. `respite`: until when its owner has it, or None."""
    if hold is None and respite is None and not entry.settings.schedule:
        return None
    return outside(schedule_of(config, entry.settings.schedule), hold, respite, now)


def read_outside(
    config: Config, registry: Registry, allowlist: Allowlist, mac: MacAddress, now: float
) -> Outside | None:
    """The same, as the registry has it."""
    entry = allowlist.decide(mac)
    if entry is None:
        return None
    hold = Holds(holds.all_of(registry).values()).of(entry.label, now)
    return outside_of(config, entry, hold, respites.of(registry).get(mac), now)
