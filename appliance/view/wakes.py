"""Requests to wake PCs, as verbs, page and API show them. PURE."""

from collections.abc import Iterable
from dataclasses import dataclass

from appliance.allowlist import Allowlist
from appliance.wake.request import WakeRequest, WakeResult
from services.spans import span

ARRIVED = frozenset({WakeResult.CAME, WakeResult.WAS_ON})
"""Results of a request whose PC is on."""


@dataclass(frozen=True, slots=True)
class WakeView:
    """A request as scripts read it; times are in seconds since the epoch. `tries`: packets sent; `due`: when the next
    one is, or None; `result` is empty until it has `ended`; `state` says the same in words."""

    id: int
    mac: str
    label: str
    asked_by: str
    asked: float
    tries: int
    due: float | None
    ended: float | None
    result: str
    state: str

    @property
    def arrived(self) -> bool:
        """Whether its PC is on."""
        return self.result in ARRIVED


def wake_view(request: WakeRequest, allowlist: Allowlist, now: float) -> WakeView:
    """The request in plain values at `now`, in seconds since the epoch."""
    entry = allowlist.decide(request.mac)
    return WakeView(
        id=request.id,
        mac=str(request.mac),
        label=entry.label if entry else "",
        asked_by=request.asked_by,
        asked=request.asked,
        tries=request.tries,
        due=request.due if request.ended is None else None,
        ended=request.ended,
        result=str(request.result or ""),
        state=_state(request, now),
    )


def wake_views(requests: Iterable[WakeRequest], allowlist: Allowlist, now: float) -> list[WakeView]:
    """The same for several, in their order."""
    return [wake_view(each, allowlist, now) for each in requests]


def _state(request: WakeRequest, now: float) -> str:
    if request.ended is not None:
        took = f" after {span(request.ended - request.asked)}" if request.result is WakeResult.CAME else ""
        return f"{request.result}{took}"
    if request.tries:
        packets = "1 packet" if request.tries == 1 else f"{request.tries} packets"
        return f"{packets} sent, not seen yet"
    if request.due > now:
        return f"its owner has it: the first packet in {span(request.due - now)}"
    return "waits for its turn"
