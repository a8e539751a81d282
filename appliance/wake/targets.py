"""Whom a person wants woken: PCs by MAC address, range, label or schedule. PURE."""

from collections.abc import Collection, Iterable
from contextlib import suppress

from appliance.allowlist import Allowlist
from appliance.errors import UserError
from appliance.heartbeats import targets
from appliance.schedules.name import unknown
from services.ethernet import MacAddress

SCHEDULE = "schedule:"


def resolve(text: str, allowlist: Allowlist, known: Iterable[int], schedules: Collection[str]) -> list[MacAddress]:
    """The allowed PCs that a person means, in the order of their addresses.

    `known` are those that have booted. One that has never booted is meant as well if its own address is in the
    allowlist, or if it is named here. `schedules` are those of the configuration. Raises UserError if there are none.
    """
    everybody = set(known) | {each.range.first.value for each in allowlist.entries if each.range.size == 1}
    if text.startswith(SCHEDULE):
        return _scheduled(text.removeprefix(SCHEDULE).strip(), allowlist, everybody, schedules)
    with suppress(ValueError):
        everybody.add(MacAddress.parse(text).value)
    return targets.resolve(text, allowlist, everybody)


def _scheduled(
    name: str, allowlist: Allowlist, everybody: Iterable[int], schedules: Collection[str]
) -> list[MacAddress]:
    if name not in schedules:
        message, hint = unknown(name, schedules)
        raise UserError(f"{message}; nothing was changed", hint)
    macs = map(MacAddress, sorted(everybody))
    found = [mac for mac in macs if (entry := allowlist.decide(mac)) and entry.settings.schedule == name]
    if not found:
        raise UserError(
            f"no PC that has booted has the schedule {name}; nothing was changed",
            f"give it to a range: netboot-appliance allow set RANGE --schedule {name}",
        )
    return found
