"""What one PC is told at its next boot: of [live] and its exceptions. PURE, but that the server's time zone is read."""

from dataclasses import dataclass

from appliance.allowlist import Entry
from appliance.config.file import Config
from appliance.config.live import FOR_ALL, LiveChoices
from appliance.config.selection import narrowest
from services import host_names
from services.boinc.files import Proxy
from services.ethernet import MacAddress


@dataclass(frozen=True, slots=True)
class LiveWords:
    """What the kernel command line says. `zone` is a name of tzdata, or empty for UTC. `proxy` is the one that BOINC
    gets, or None. `fetch`: whether there are files for the PC."""

    name: str
    zone: str
    proxy: Proxy | None
    fetch: bool


def choices(config: Config, mac: MacAddress, allowed: Entry | None) -> LiveChoices:
    """What the configuration says for this PC; of the exceptions for it only the one with the narrowest range counts.
    `allowed` is the entry of the allowlist that decides for it."""
    if allowed is None or not config.live.exceptions:
        return config.live
    sizes = ((narrowest(each.for_, mac, allowed.range, allowed.label), each) for each in config.live.exceptions)
    for_it = [(size, each) for size, each in sizes if size is not None]
    return min(for_it, key=lambda pair: pair[0])[1].over(config.live) if for_it else config.live


def pattern(chosen: LiveChoices) -> str:
    """The pattern of the host name."""
    return chosen.host_name or host_names.STANDARD


def zone(config: Config, chosen: LiveChoices) -> str:
    """The time zone, or empty for UTC."""
    return chosen.time_zone or config.time_zone


def overlays(chosen: LiveChoices) -> tuple[str, ...]:
    """The names of the PC's overlays; files of a later one replace those of an earlier one."""
    return (FOR_ALL, *(chosen.overlay or ()))


def boinc_proxy(config: Config, chosen: LiveChoices) -> Proxy | None:
    """The proxy that BOINC gets: its own, or else that of the system."""
    return config.boinc.web_proxy or chosen.web_proxy
