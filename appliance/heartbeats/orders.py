"""Orders: what a PC is to do, as a table of the registry. The CLI gives them; the server puts them into its replies to
the PC's heartbeats, and records how they ended.

An order for a PC that is off waits for its next heartbeat, for EXPIRES_AFTER seconds. A newer order takes the place of
one that was not sent yet. `finish-disk` also has the PC's next boot start its local disk.
"""

from collections.abc import Iterable, Mapping

from appliance.boot import next_boot
from appliance.heartbeats import records
from appliance.heartbeats.records import EXPIRES_AFTER, Order
from appliance.journal.timeline import DISK
from appliance.registry.database import Registry
from services.ethernet import MacAddress
from services.http.heartbeats import OrderVerb

KEPT_SECONDS = 30 * 86400.0
"""How long an order that has ended is kept."""

CANCELLED = "cancelled"
REPLACED = "replaced by a newer order"

_SELECT = "SELECT id, mac, verb, given, sent, ended, result FROM orders"
_BEHIND_ALL = (1 << 63) - 1
_NOT_SENT = "ended IS NULL AND sent IS NULL"


def give(registry: Registry, macs: Iterable[MacAddress], verb: OrderVerb, now: float) -> list[Order]:
    """Give each of these PCs an order, in one commit; returns the orders. `now` is in seconds since the epoch. The
    server sees them within a quarter of a second, a PC that is on within a minute and a half."""
    given = []
    with registry.edit():
        for mac in macs:
            _replace_unsent(registry, mac, now)
            if verb is OrderVerb.FINISH_DISK:
                next_boot.write(registry, mac, DISK)
            done = registry.sql.execute(
                "INSERT INTO orders (mac, verb, given, result) VALUES (?, ?, ?, '')", (mac.value, verb.value, now)
            )
            given.append(Order(done.lastrowid or 0, mac, verb, now))
    return given


def open_orders(registry: Registry) -> dict[MacAddress, tuple[Order, ...]]:
    """The orders that have not ended, by PC, in the order in which they were given."""
    found: dict[MacAddress, tuple[Order, ...]] = {}
    for order in _select(registry, "WHERE ended IS NULL ORDER BY id", ()):
        found[order.mac] = (*found.get(order.mac, ()), order)
    return found


def latest(registry: Registry, mac: MacAddress, most: int) -> list[Order]:
    """The `most` orders of a PC that were given last, the latest first."""
    return _select(registry, "WHERE mac = ? ORDER BY id DESC LIMIT ?", (mac.value, most))


def recent(registry: Registry, most: int, *, only_open: bool = False, before: int | None = None) -> list[Order]:
    """The `most` orders that were given last, the latest first; -1: all that are kept. `only_open`: without those that
    have ended; `before`: only those with a lower number."""
    condition = f"WHERE id < ?{' AND ended IS NULL' if only_open else ''} ORDER BY id DESC LIMIT ?"
    return _select(registry, condition, (_BEHIND_ALL if before is None else before, most))


def find(registry: Registry, number: int) -> Order | None:
    """The order with this number, if it is kept."""
    return next(iter(_select(registry, "WHERE id = ?", (number,))), None)


def cancel(registry: Registry, orders: Iterable[Order], now: float) -> None:
    """End these orders, in one commit: they are not sent any more. A PC that has got one may still carry it out, and
    then that is its result."""
    with registry.edit():
        for order in orders:
            _end(registry, order, now, CANCELLED)


def all_of(registry: Registry) -> list[Order]:
    """All orders that are kept, in the order in which they were given."""
    return _select(registry, "ORDER BY id", ())


def record(registry: Registry, sent: Mapping[int, float], ended: Mapping[int, tuple[float, str]]) -> None:
    """Store, in one commit, when orders were first sent, and when and how others ended."""
    with registry.transaction():
        registry.sql.executemany(
            "UPDATE orders SET sent = ? WHERE id = ? AND sent IS NULL", [(at, number) for number, at in sent.items()]
        )
        registry.sql.executemany(
            "UPDATE orders SET ended = ?, result = ? WHERE id = ?",
            [(at, result, number) for number, (at, result) in ended.items()],
        )


def expire(registry: Registry, now: float) -> None:
    """End the orders that nobody fetched in time, and delete those that ended long ago."""
    with registry.transaction():
        for order in _select(registry, f"WHERE {_NOT_SENT} AND given < ?", (now - EXPIRES_AFTER,)):
            _end(registry, order, now, "expired: the PC sent no heartbeat for a day")
        registry.sql.execute("DELETE FROM orders WHERE ended < ?", (now - KEPT_SECONDS,))


def _replace_unsent(registry: Registry, mac: MacAddress, now: float) -> None:
    for order in _select(registry, f"WHERE mac = ? AND {_NOT_SENT}", (mac.value,)):
        _end(registry, order, now, REPLACED)


def _end(registry: Registry, order: Order, now: float, result: str) -> None:
    """Unless it has ended meanwhile: the server writes what PCs say at any time."""
    done = registry.sql.execute(
        "UPDATE orders SET ended = ?, result = ? WHERE id = ? AND ended IS NULL", (now, result, order.id)
    )
    if done.rowcount and order.verb is OrderVerb.FINISH_DISK:
        next_boot.withdraw(registry, order.mac, DISK)


def _select(registry: Registry, condition: str, values: tuple[object, ...]) -> list[Order]:
    with registry.reading("orders"):
        return [records.order(row) for row in registry.sql.execute(f"{_SELECT} {condition}", values)]
