"""A request to switch a PC on over the network, as the registry holds it. PURE.

`record` reads it strictly from a row and raises ValueError.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from appliance.registry.rows import mac, moment, text, whole
from services.ethernet import MacAddress


class WakeResult(StrEnum):
    """How a request ended."""

    CAME = "came"
    WAS_ON = "it is on"
    DID_NOT_COME = "did not come"
    CANCELLED = "cancelled"
    REPLACED = "replaced by a newer request"
    EXPIRED = "expired: nothing was sent for hours"
    CLOCK = "the server's clock was set back: ask again"
    NOT_ALLOWED = "it is not allowed any more"
    RESPITE = "its owner took it back"
    WINDOW_OVER = "its window has ended"


@dataclass(frozen=True, slots=True)
class WakeRequest:
    """A PC that is to be switched on. Times are in seconds since the epoch. `asked_by`: "hand", "schedule NAME", "room
    LABEL" or "drill NUMBER". `tries`: how often its packet was sent; `due`: when it is sent next. `result` is None
    until the request has `ended`."""

    id: int
    mac: MacAddress
    asked_by: str
    asked: float
    tries: int = 0
    due: float = 0.0
    ended: float | None = None
    result: WakeResult | None = None

    @property
    def by_schedule(self) -> bool:
        """Whether it is for a window, and pointless outside it: nobody asked for this PC alone."""
        return self.asked_by.startswith(("schedule ", "room "))


def record(row: tuple[Any, ...]) -> WakeRequest:
    """From the columns id, mac, asked_by, asked, tries, due, ended, result."""
    ident, address, asked_by, asked, tries, due, ended, result = row
    if (ended is None) != (text(result) == ""):
        raise ValueError("a request has a result, or has not ended")
    return WakeRequest(
        whole(ident),
        mac(address),
        text(asked_by),
        moment(asked),
        whole(tries),
        moment(due),
        None if ended is None else moment(ended),
        WakeResult(result) if result else None,
    )
