"""Machines that asked under one name after another and were refused: a fault, or somebody who should not be there."""

import time
from collections.abc import Iterable

from appliance.config.file import Config
from appliance.doctor.finding import Finding, note, warning
from appliance.errors import UserError
from appliance.registry.database import Registry
from appliance.registry.records import IgnoredRow

_WITHIN = 86400.0  # seconds
_MOST_NAMED = 8


def judge(rows: Iterable[IgnoredRow], now: float) -> list[Finding]:
    """`rows` are the refusals, latest first; `now` is in seconds since the epoch."""
    counts: dict[str, int] = {}
    for row in rows:
        # Only a sender with more names than are kept has rows without a client.
        if row.sender and not row.client and now - row.last_at < _WITHIN:
            who = f"{row.sender} ({row.sender_mac})" if row.sender_mac else row.sender
            counts[who] = counts.get(who, 0) + row.count
    if not counts:
        return []
    named = ", ".join(f"{who}, {count:,} times" for who, count in list(counts.items())[:_MOST_NAMED])
    more = f" and {len(counts) - _MOST_NAMED} more" if len(counts) > _MOST_NAMED else ""
    return [
        warning(
            "senders",
            f"asked under many names and got nothing: {named}{more}",
            "no PC does that; PCs are not harmed",
            "find the machine by its MAC address in the switch's table",
        )
    ]


def check(config: Config) -> list[Finding]:
    """Look for such refusals of the last day."""
    if not config.registry.exists():
        return []
    try:
        with Registry(config.registry) as registry:
            return judge(registry.ignored(), time.time())
    except UserError as unreadable:
        return [note("senders", f"not checked: {unreadable.message}")]
