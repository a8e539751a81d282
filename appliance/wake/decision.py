"""What is done about the open requests now: which packets are sent, and which requests have ended. PURE.

A request ends when its PC is seen, when its tries are spent, or when nobody needs it any more. Nothing is remembered
between two looks but what the requests say, so a control process that was killed goes on where it was.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network

from appliance.config.wake import WakeSettings
from appliance.heartbeats.states import AHEAD
from appliance.wake.request import WakeRequest, WakeResult
from services.ethernet import MacAddress

LAST_WAIT = 180.0
"""Seconds after the last packet before a PC is said not to have come, at least: old firmware takes minutes to ask."""

EXPIRES_AFTER = 4 * 3600.0
"""Seconds for which a packet may be overdue. Longer than any queue; a request of yesterday wakes nobody."""

MOST_ROUTED = 16
"""Routed networks to which a packet goes whose PC may be in any of them."""


@dataclass(frozen=True, slots=True)
class Presence:
    """What is known of a PC: when its latest boot began, in seconds since the epoch, and whether it is on now."""

    booted: float
    on: bool


@dataclass(frozen=True, slots=True)
class Around:
    """What a request depends on. `seen`: the PCs that have booted. `allowed`: may they boot. `respites`: until when
    their owners have them. `closed`: the PCs whose window is not open."""

    seen: Mapping[MacAddress, Presence] = field(default_factory=dict)
    allowed: Collection[MacAddress] = ()
    respites: Mapping[MacAddress, float] = field(default_factory=dict)
    closed: Collection[MacAddress] = ()


@dataclass(frozen=True, slots=True)
class WakeStep:
    """`due`: packets that may be sent now, the most urgent first. `ended`: results by the requests' numbers.
    `postponed`: nothing is sent for these before those moments."""

    due: Sequence[WakeRequest]
    ended: dict[int, WakeResult]
    postponed: Mapping[int, float]


def decide(requests: Iterable[WakeRequest], around: Around, settings: WakeSettings, now: float) -> WakeStep:
    """What is to be done about the open requests at `now`, in seconds since the epoch."""
    due, ended, postponed = [], {}, {}
    for request in requests:
        if result := _result(request, around, settings, now):
            ended[request.id] = result
        elif (until := around.respites.get(request.mac, now)) > now:
            if until > request.due:
                postponed[request.id] = until
        elif request.due <= now:
            due.append(request)
    # A PC that has had no packet yet comes before those that have not answered theirs.
    due.sort(key=lambda each: (each.tries, each.due, each.id))
    return WakeStep(due, ended, postponed)


def _result(request: WakeRequest, around: Around, settings: WakeSettings, now: float) -> WakeResult | None:
    """How the request has ended; None while it is open."""
    seen = around.seen.get(request.mac)
    if request.asked > now + AHEAD:
        return WakeResult.CLOCK
    if seen and request.asked <= seen.booted:
        return WakeResult.CAME
    if seen and seen.on:
        return WakeResult.WAS_ON
    if request.mac not in around.allowed:
        return WakeResult.NOT_ALLOWED
    if request.by_schedule and request.mac in around.closed:
        return WakeResult.WINDOW_OVER
    if around.respites.get(request.mac, now) > now and not request.by_schedule:
        return WakeResult.RESPITE
    if now - request.due > EXPIRES_AFTER:
        return WakeResult.EXPIRED
    if request.tries >= settings.tries and now >= request.due:
        return WakeResult.DID_NOT_COME
    return None


def next_due(request: WakeRequest, settings: WakeSettings, now: float) -> float:
    """When to look at a request again whose packet is sent at `now`."""
    last = request.tries + 1 >= settings.tries
    return now + (max(LAST_WAIT, settings.retry_every) if last else settings.retry_every)


def routed(
    addresses: Sequence[IPv4Address], own: Collection[IPv4Network], networks: Iterable[IPv4Network]
) -> list[IPv4Address]:
    """The broadcast addresses of the networks behind routers in which a PC may be: those of its last known addresses,
    or all if there is none. `own` are the networks of the interfaces: there, the packet is seen anyway."""
    far = [
        network
        for network in networks
        if network.prefixlen < 31 and not any(network.overlaps(link) for link in own)  # no broadcast in a /31
    ]
    if addresses:
        far = [network for network in far if any(address in network for address in addresses)]
    return [network.broadcast_address for network in far[:MOST_ROUTED]]
