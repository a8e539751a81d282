"""The heartbeats that the running box takes, and the orders that it puts into its replies.

Nothing here waits for the registry: what is to be written is pending (pending_heartbeats.py), and a thread writes it
(heartbeat_writer.py). The open orders are read when somebody has changed the registry (registry_sync.py).
"""

import contextlib
from dataclasses import replace

import structlog

from appliance.errors import UserError
from appliance.heartbeats import orders
from appliance.heartbeats.records import Order
from appliance.journal.timeline import Boot
from appliance.registry.database import Registry
from appliance.registry.sql_errors import SqlError
from appliance.server.pending_heartbeats import PendingHeartbeats, TimedHeartbeat
from services.ethernet import MacAddress
from services.http.heartbeats import LEAVING_FOR_OWNER, MOST_ORDERS, Heartbeat, OrderEnd, OrderVerb, WindowEnd
from services.rate_limit import RateLimit

AT_ONCE = 4
"""Heartbeats that a PC may send without a pause: after a start, or when answers got lost."""

SECONDS_EACH = 10.0
"""Seconds after which it may send one more."""

_MOST_PCS = 40_000
_DONE = "done"
_OVERTAKEN = "the PC has been restarted since"

log = structlog.get_logger("heartbeats")


class Heartbeats:
    """The heartbeats and the open orders of all PCs."""

    def __init__(self, registry: Registry) -> None:
        self.pending = PendingHeartbeats()
        self._registry = registry
        self._limit = RateLimit[MacAddress](AT_ONCE, 1 / SECONDS_EACH, _MOST_PCS)
        self._open: dict[MacAddress, tuple[Order, ...]] = {}
        self._changed: dict[int, Order] = {}  # as they are by now: the registry may not say so yet
        self._lost = 0
        self.refresh()

    def refresh(self) -> None:
        """Read the open orders; raises UserError or an error of SQLite."""
        found = orders.open_orders(self._registry)
        read = {order.id for each in found.values() for order in each}
        # What the registry has as ended, or has no more, needs no memory here.
        self._changed = {number: order for number, order in self._changed.items() if number in read}
        self._open = {}
        for mac, given in found.items():
            known = (self._changed.get(order.id, order) for order in given)
            if left := tuple(order for order in known if order.ended is None):
                self._open[mac] = left

    def flush(self) -> None:
        """Tell the log and `status` how many heartbeats were lost."""
        if self.pending.lost != self._lost:
            if not self._lost:
                log.warning("heartbeats are lost: the registry cannot be written, and there are too many of them")
            self._lost = self.pending.lost
            self._registry.set_server("heartbeats_lost", self._lost)

    def take(self, boot: Boot, heartbeat: Heartbeat, at: float, now: float, respite: float = 0.0) -> bool:
        """Take a heartbeat of this boot, unless the PC sends too many; `at` is in seconds since the epoch, `now` in
        monotonic seconds. `respite`: for how many seconds its owner has the PC, if it leaves for that."""
        if not self._limit.take(boot.mac, now):
            return False
        self.pending.add(TimedHeartbeat(boot.id, at, heartbeat))
        if heartbeat.facts.get("leaving") == WindowEnd.DISK:
            self.pending.to_disk(boot.mac)
        elif heartbeat.facts.get("leaving") == LEAVING_FOR_OWNER:
            self.pending.taken_back(boot.mac, at, at + respite)
        for end in heartbeat.ended:
            self._end(boot.mac, end, at)
        return True

    def orders_for(self, boot: Boot, now: float) -> tuple[tuple[int, OrderVerb], ...]:
        """The orders that the reply to this boot has; `now` is in seconds since the epoch."""
        given = self._open.get(boot.mac)
        if not given:
            return ()
        left = []
        for order in given:
            if order.overtaken(boot.started):
                self._close(order, now, _OVERTAKEN)
            elif not order.expired(now):
                left.append(self._send(order, now))
        self._keep(boot.mac, tuple(left))
        return tuple((order.id, order.verb) for order in left[-MOST_ORDERS:])

    def _send(self, order: Order, now: float) -> Order:
        if order.sent is not None:
            return order
        self.pending.sent(order.id, now)
        self._changed[order.id] = sent = replace(order, sent=now)
        return sent

    def _end(self, mac: MacAddress, end: OrderEnd, now: float) -> None:
        """The PC says so; about orders of its own only."""
        given = self._open.get(mac, ())
        order = next((each for each in given if each.id == end.order), None) or self._withdrawn(mac, end.order)
        if order is not None:
            self._close(order, now, f"failed: {end.failure}" if end.failure else _DONE)
            self._keep(mac, tuple(each for each in given if each is not order))

    def _withdrawn(self, mac: MacAddress, number: int) -> Order | None:
        """An order of the PC that was withdrawn after it was sent: the PC may have carried it out before."""
        with contextlib.suppress(UserError, SqlError):
            order = orders.find(self._registry, number)
            if order and order.mac == mac and order.result in (orders.CANCELLED, orders.REPLACED):
                return order
        return None

    def _close(self, order: Order, now: float, result: str) -> None:
        self.pending.ended(order.id, now, result)
        self._changed[order.id] = replace(order, ended=now, result=result)

    def _keep(self, mac: MacAddress, left: tuple[Order, ...]) -> None:
        if left:
            self._open[mac] = left
        else:
            self._open.pop(mac, None)
