"""Which PCs have to be read again: those whose rows in the registry changed, and those that time changes. PURE.

A mark is what shows that a PC has changed, as few numbers as will do: reading those of 5,000 PCs takes 20 ms, reading
the PCs themselves takes a hundred times as long.
"""

from collections.abc import Iterable, Iterator, Mapping

from appliance.heartbeats.states import SILENT_AFTER
from appliance.journal.timeline import STALLED_AFTER

Mark = tuple[object, ...]  # of numbers and words only: Python's garbage collector forgets about such a tuple
"""The PC's latest boot, its stage and last event; the latest heartbeat; the order that ended the boot."""

_STIRRING = 600.0
_SOON = 10.0
_OFTEN = 60.0
SELDOM = 3600.0
"""Seconds between two looks at a PC that is off for days."""

_SPAN_PART = 8.0

SET_BACK = 1.0
"""Seconds by which a clock is set back and not only corrected: then all moments at which to look again are wrong."""


def changed(before: Mapping[int, Mark], now: Mapping[int, Mark]) -> set[int]:
    """The PCs, by the numbers of their MAC addresses, that are new or have another mark."""
    return {mac for mac, mark in now.items() if before.get(mac) != mark}


def gone(before: Iterable[int], now: Mapping[int, Mark]) -> set[int]:
    """The PCs that are no longer known."""
    return {mac for mac in before if mac not in now}


def differing(before: Mapping[str, object], now: Mapping[str, object]) -> Iterator[str]:
    """The names whose values differ, such as the refusals of a PC."""
    for name in before.keys() | now.keys():
        if before.get(name) != now.get(name):
            yield name


def due(now: float, last_event: float, beat_at: float | None, under_way: bool) -> float:
    """When to read a PC again though nothing changed, in seconds since the epoch like all times here.

    At the moment at which silence becomes a state; and again and again for words such as "silent for 12 min" and for
    the rules of the diagnosis: more often the less time has passed, and soon on the way to computing.
    """
    heard = max(last_event, beat_at or 0.0)
    quiet = max(0.0, now - heard)
    pace = _SOON if under_way and quiet < _STIRRING else min(SELDOM, max(_OFTEN, quiet / _SPAN_PART))
    moments = [last_event + STALLED_AFTER, (beat_at or 0.0) + SILENT_AFTER]
    # A moment later: both end after this many seconds, not at them.
    return min([now + pace, *(at + 0.5 for at in moments if at + 0.5 > now)])
