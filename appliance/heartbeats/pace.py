"""When a PC's next heartbeat is due. PURE.

Each PC has its own second of the minute, by its MAC address. However many are switched on at once, their heartbeats
come evenly from the second one on: 5,000 PCs send 83 a second.
"""

from services.ethernet import MacAddress

PERIOD = 60
"""Seconds between two heartbeats of a PC."""

# Multiples of the golden ratio, here in 64 bits, leave no gaps: the MAC addresses of a room follow one another.
_GOLDEN = 0x9E3779B97F4A7C15
_WHOLE = 1 << 64


def next_in(mac: MacAddress, now: float) -> int:
    """In how many seconds the PC is to send again: between half a PERIOD and one and a half, and a PERIOD for a PC that
    sends in its second. `now` is in seconds, of a clock that is the same for all PCs."""
    due = mac.value * _GOLDEN % _WHOLE / _WHOLE * PERIOD
    until = round(due - now) % PERIOD
    return until if until >= PERIOD // 2 else until + PERIOD
