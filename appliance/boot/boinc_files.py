"""Which BOINC files a PC gets: its projects and preferences among those of the configuration. PURE."""

from ipaddress import IPv4Address

from appliance.allowlist import Entry
from appliance.config.file import Config
from appliance.config.projects import ProjectEntry
from appliance.config.selection import narrowest
from services.boinc.accounts import Account
from services.boinc.files import ClientSettings, Proxy
from services.boinc.preferences import Preferences
from services.ethernet import MacAddress


def settings(config: Config, mac: MacAddress, allowed: Entry, proxy: Proxy | None) -> ClientSettings:
    """What the BOINC files of a PC say. `allowed` is the entry of the allowlist that decides for it; `proxy` is BOINC's
    own, or that of the PC's system."""
    hosts: tuple[IPv4Address, ...] = config.boinc.management_hosts
    return ClientSettings(
        accounts=accounts(config, mac, allowed),
        manager=config.manager,
        preferences=preferences(config, mac, allowed),
        management_hosts=hosts,
        proxy=proxy,
        ca=config.boinc.ca_file.pem,
    )


def accounts(config: Config, mac: MacAddress, allowed: Entry) -> tuple[Account, ...]:
    """The PC's projects. Of several entries for one project, the one with the narrowest range counts."""
    chosen: dict[str, tuple[int, ProjectEntry]] = {}
    everybody = 1 << 48
    for entry in config.all_projects:
        size = narrowest(entry.for_, mac, allowed.range, allowed.label) if entry.for_ else everybody
        name = entry.account.file_name
        if size is not None and (name not in chosen or size < chosen[name][0]):
            chosen[name] = size, entry
    return tuple(entry.account for _, entry in chosen.values())


def preferences(config: Config, mac: MacAddress, allowed: Entry) -> Preferences:
    """The PC's preferences: of the exceptions for it only the one with the narrowest range counts."""
    sizes = ((narrowest(each.for_, mac, allowed.range, allowed.label), each) for each in config.boinc.exceptions)
    for_it = [(size, each) for size, each in sizes if size is not None]
    if not for_it:
        return config.boinc.preferences
    _, exception = min(for_it, key=lambda pair: pair[0])
    return exception.over(config.boinc.preferences)
