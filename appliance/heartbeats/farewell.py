"""A PC that a person wants forgotten: its boots, its orders, its heartbeat, and what was learned of its firmware.

Its work, its place in the allowlist and the sums of the days stay. If it boots again, it is a new PC with its old work.
"""

from dataclasses import dataclass

from appliance.config.file import Config
from appliance.errors import NotFoundError, OvertakenError
from appliance.heartbeats import census, store
from appliance.heartbeats.states import ON, SILENT_AFTER, Kind, state, within
from appliance.journal import history
from appliance.registry import forgetting
from appliance.registry.database import Registry
from appliance.registry.server_lock import holder
from services.ethernet import MacAddress
from services.spans import span

_NOTHING = "nothing was changed"


@dataclass(frozen=True, slots=True)
class Farewell:
    """What is lost. `later`: the running server does it, within a second."""

    boots: int
    later: bool


def require_off(registry: Registry, mac: MacAddress, now: float) -> None:
    """Raise UserError unless this PC is known, and off; `now` is in seconds since the epoch."""
    if registry.client(mac) is None:
        raise NotFoundError(f"{mac} has not booted yet; {_NOTHING}", "list the PCs: netboot-appliance clients list")
    if boot := history.latest_of(registry, mac):
        ended = census.ends_of_boots(registry, mac).get(mac.value)
        found = state(boot, store.latest(registry, mac), ended, now)
        if found.kind in (*ON, Kind.UNHEARD):
            raise OvertakenError(f"it may be on ({found.words}); {_NOTHING}", f"netboot-appliance order {mac} off")
        if within(found.heard, SILENT_AFTER, now):
            raise OvertakenError(f"it was heard {span(now - found.heard)} ago; {_NOTHING}", "wait three minutes")


def say_farewell(config: Config, registry: Registry, mac: MacAddress, now: float) -> Farewell:
    """Forget a PC that is off; `now` is in seconds since the epoch. Raises UserError if it may be on."""
    require_off(registry, mac, now)
    many: int = registry.sql.execute("SELECT count(*) FROM boots WHERE mac = ?", (mac.value,)).fetchone()[0]
    later = holder(config.registry) is not None
    if later:
        forgetting.ask(registry, mac)
    else:
        forgetting.forget(registry, [mac.value])
    return Farewell(many, later)
