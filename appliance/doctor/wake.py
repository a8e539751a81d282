"""Whether PCs can be switched on over the network: what sends the packets, and who never came."""

from collections.abc import Collection, Sequence

from appliance.allowlist import Allowlist
from appliance.config.file import Config
from appliance.doctor.finding import Finding, note, ok, warning
from appliance.errors import UserError
from appliance.registry.database import Registry
from appliance.registry.server_lock import holder
from appliance.wake import requests
from appliance.wake.absence import absent
from appliance.wake.request import WakeRequest
from services.ethernet import MacAddress

NEEDS = (
    "in its firmware switch Wake on LAN on, and deep sleep (ErP, EuP, S5 power saving) off; it must have been switched"
    " off by a system that arms its card, as ours does, and not by the mains; Energy Efficient Ethernet (EEE, green"
    " Ethernet) off where its link is lost; behind a router, that must pass directed broadcasts to UDP port 9"
)
"""What a PC needs to be woken."""

_SHOWN = 8


def judge(
    away: Sequence[WakeRequest], came: Collection[MacAddress], wakes: Sequence[str], sender: bool, open_: int
) -> list[Finding]:
    """`away`: the PCs that did not come when they were woken last. `came`: those that came at least once. `wakes`: the
    schedules that wake. `sender`: the control process runs; `open_` requests wait for it."""
    found = []
    if not sender and (wakes or open_):
        who = f"schedules wake PCs ({', '.join(wakes)})" if wakes else f"{open_} PCs are to be woken"
        found.append(
            warning(
                "wake",
                f"{who}, and the control process does not run",
                "it sends the magic packets",
                "systemctl start netboot-appliance-control; [control] enabled must not be false",
            )
        )
    never = [each.mac for each in away if each.mac not in came]
    once = [each.mac for each in away if each.mac in came]
    if never:
        what = f"PCs that have never come when they were woken: {_named(never)}"
        found.append(warning("wake", what, "they stay off until somebody switches them on", NEEDS))
    if once:
        what = f"PCs that did not come when they were woken last: {_named(once)}"
        cure = "look at their power and cables; one that is on with its own system ignores the packet"
        found.append(warning("wake", what, "they came before", cure))
    return found or [ok("wake", "all PCs that were woken came" if came else "no PC was woken in the last 30 days")]


def _named(macs: Sequence[MacAddress]) -> str:
    more = f" and {len(macs) - _SHOWN} more (wake list --away)" if len(macs) > _SHOWN else ""
    return ", ".join(map(str, macs[:_SHOWN])) + more


def check(config: Config) -> list[Finding]:
    """Look at what was asked for in the last 30 days."""
    wakes = [name for name, settings in config.schedules.items() if settings.at_start == "wake"]
    if not config.registry.exists():
        return judge((), (), wakes, True, 0)
    try:
        sender = holder(config.registry, "control") is not None
        with Registry(config.registry) as registry:
            away = _allowed(absent(registry), registry.allowlist())
            return judge(away, requests.ever_came(registry), wakes, sender, len(requests.open_requests(registry)))
    except UserError as unreadable:
        return [note("wake", f"not checked: {unreadable.message}")]


def _allowed(away: Sequence[WakeRequest], allowlist: Allowlist) -> list[WakeRequest]:
    return [each for each in away if each.mac in allowlist]
