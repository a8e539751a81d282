"""Which PCs should be gone by now: those whose window has ended, and those that an order told to go. Reads only."""

from appliance.config.file import Config
from appliance.heartbeats import orders
from appliance.registry.database import Registry
from appliance.registry.rows import mac, moment
from appliance.schedules import holds
from appliance.schedules.hold import Holds
from appliance.schedules.schedule import Schedule
from appliance.view.evidence import LastWindow, Overdue
from services.ethernet import MacAddress
from services.http.heartbeats import OrderVerb

SLACK = 600.0
"""Seconds beyond the grace: a PC goes a little later than it must, and the last heartbeats are a minute old."""

_AT_ONCE = (OrderVerb.OFF, OrderVerb.REBOOT)
_LOOK_BACK = 8 * 86400.0


def gather_overdue(config: Config, registry: Registry, now: float) -> Overdue:
    """What is overdue at `now`, in seconds since the epoch."""
    held = Holds(holds.all_of(registry).values())
    windows = {
        str(name): LastWindow(end, settings.grace + SLACK)
        for name, settings in config.schedules.items()
        if settings.at_end != "nothing" and (end := _ended(settings.schedule(config.time_zone), now)) is not None
    }
    told = {
        pc: min(given)
        for pc, open_ones in orders.open_orders(registry).items()
        if (given := [each.sent + SLACK for each in open_ones if each.sent is not None and each.verb in _AT_ONCE])
    }
    return Overdue(windows, held, told, _resumed(registry) if windows else {})


def _ended(schedule: Schedule, now: float) -> float | None:
    """When the last window ended; None while one is open."""
    last = None
    for window in schedule.upcoming(now - _LOOK_BACK):
        if window.end is None or window.end > now:
            return None if now in window else last
        last = window.end
    return last


def _resumed(registry: Registry) -> dict[MacAddress, float]:
    """When somebody last let a PC go on, by an order."""
    with registry.reading("orders"):
        rows = registry.sql.execute(
            "SELECT mac, max(given) FROM orders WHERE verb = ? GROUP BY mac", (str(OrderVerb.RESUME),)
        )
        return {mac(number): moment(given) for number, given in rows}
