"""Whether the DHCP server of this box has addresses left."""

import time

from appliance.config.file import Config
from appliance.dhcp import leases
from appliance.doctor.finding import Finding, error, note, ok, warning
from appliance.errors import UserError
from appliance.registry.database import Registry

_NEARLY = 0.9


def judge(leased: int, addresses: int) -> Finding:
    """`leased` of the `addresses` are in use now."""
    words = f"{leased} of {addresses} addresses are leased"
    do = "give [dhcp] pool more addresses, or shorten lease_time, then restart the server"
    if leased >= addresses:
        return error("dhcp-pool", f"the pool is empty: {words}", "a PC that is switched on now gets no address", do)
    if leased >= _NEARLY * addresses:
        return warning("dhcp-pool", f"the pool is nearly empty: {words}", "soon a PC will get no address", do)
    return ok("dhcp-pool", words)


def check(config: Config) -> list[Finding]:
    """Count the leases. Says nothing where another server gives out the addresses, or where this one never ran."""
    if config.dhcp.mode != "server":
        return []
    try:
        with Registry(config.registry) as registry:
            addresses = registry.server().get("addresses", 0)
            leased = len(leases.in_force(leases.load(registry), time.time()))
    except UserError as unreadable:
        return [note("dhcp-pool", f"not checked: {unreadable.message}")]
    return [judge(leased, addresses)] if addresses else []
