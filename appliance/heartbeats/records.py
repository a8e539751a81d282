"""Heartbeats and orders as the registry holds them, read strictly from its rows: these functions raise ValueError.
PURE."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from appliance.registry.rows import mac, moment, text, whole
from services.ethernet import MacAddress
from services.http.heartbeats import OrderVerb

EXPIRES_AFTER = 86400.0
"""Seconds that an order waits for the PC's next heartbeat."""

ENDS_A_BOOT = (OrderVerb.FINISH, OrderVerb.FINISH_DISK, OrderVerb.OFF, OrderVerb.REBOOT)
"""The orders after which the PC's boot is over."""


@dataclass(frozen=True, slots=True)
class StoredHeartbeat:
    """The latest heartbeat of a PC, that of its boot `boot`; `at` is in seconds since the epoch. `facts` is the head as
    the PC sent it (services/http/heartbeats.py), `boinc` what was read from BOINC's answers, as JSON; `{}` if nothing
    was."""

    mac: MacAddress
    boot: int
    at: float
    facts: Mapping[str, str]
    boinc: str


@dataclass(frozen=True, slots=True)
class Order:
    """What a PC is to do. Times are in seconds since the epoch. `sent`: when it was first in a reply. `ended`: when
    nothing more was to be done, with the `result` in words; `done` if the PC has done it."""

    id: int
    mac: MacAddress
    verb: OrderVerb
    given: float
    sent: float | None = None
    ended: float | None = None
    result: str = ""

    def expired(self, now: float) -> bool:
        """Whether it was given too long ago to be sent for the first time."""
        return self.sent is None and now - self.given > EXPIRES_AFTER

    def overtaken(self, started: float) -> bool:
        """Whether the boot that began at `started` makes it pointless: it was to end an earlier boot of the PC, or to
        have it start its disk, which it has done by then."""
        if self.verb not in ENDS_A_BOOT:
            return False
        began = self.given if self.verb is OrderVerb.FINISH_DISK else self.sent
        return began is not None and began < started


def heartbeat(row: tuple[Any, ...]) -> StoredHeartbeat:
    """From the columns mac, boot, at, facts, boinc."""
    address, boot, at, facts, boinc = row
    read = json.loads(text(facts))
    if not isinstance(read, dict):
        raise ValueError("the facts of a heartbeat are no object")
    return StoredHeartbeat(
        mac(address), whole(boot), moment(at), {key: text(value) for key, value in read.items()}, text(boinc)
    )


def order(row: tuple[Any, ...]) -> Order:
    """From the columns id, mac, verb, given, sent, ended, result."""
    ident, address, verb, given, sent, ended, result = row
    return Order(
        whole(ident), mac(address), OrderVerb(text(verb)), moment(given), _perhaps(sent), _perhaps(ended), text(result)
    )


def _perhaps(value: object) -> float | None:
    return None if value is None else moment(value)
