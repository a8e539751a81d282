"""Relays whose requests the box did not answer, because it serves none of the networks that they are in."""

import time
from collections.abc import Iterable
from ipaddress import IPv4Address

from appliance.config.file import Config
from appliance.doctor.finding import Finding, note, warning
from appliance.errors import UserError
from appliance.network.interfaces import answered, interfaces
from appliance.registry.database import Registry
from appliance.registry.records import IgnoredRow
from services.decision import Reason

_WITHIN = 86400.0  # seconds
_MOST_NAMED = 8


def judge(refused: Iterable[str]) -> list[Finding]:
    """`refused` are the addresses of relays that are still not served, the latest first."""
    relays = list(dict.fromkeys(refused))[:_MOST_NAMED]
    if not relays:
        return []
    quoted = ", ".join(f'"{relay}"' for relay in relays)
    return [
        warning(
            "relays",
            f"DHCP requests came through relays that the box does not serve: {', '.join(relays)}",
            "the PCs behind them get no boot offer; anybody can send such requests, so look whether these are yours",
            f"if they are: relays = [{quoted}] under [dhcp] of the configuration, or their networks in [nfs] networks; "
            "then restart the server",
        )
    ]


def recent(rows: Iterable[IgnoredRow], now: float) -> list[str]:
    """The relays among refusals of the last day; `now` is in seconds since the epoch."""
    return [row.client for row in rows if row.reason == Reason.UNKNOWN_RELAY.value and now - row.last_at < _WITHIN]


def check(config: Config) -> list[Finding]:
    """Look for such refusals."""
    if not config.registry.exists():
        return []
    try:
        with Registry(config.registry) as registry:
            refused = recent(registry.ignored(), time.time())
    except UserError as unreadable:
        return [note("relays", f"not checked: {unreadable.message}")]
    served = answered(config, interfaces(config)) if refused else ()
    return judge(relay for relay in refused if not any(IPv4Address(relay) in network for network in served))
