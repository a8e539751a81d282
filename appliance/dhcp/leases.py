"""The table of leases: what the DHCP server gave to whom, so that it still knows after a restart."""

from collections.abc import Sequence
from ipaddress import IPv4Address

from appliance.registry.database import Registry
from services.dhcp.lease import Lease, State
from services.ethernet import MacAddress


def load(registry: Registry) -> list[Lease]:
    """Every lease that was written down, also ended ones, by address."""
    rows = registry.sql.execute("SELECT address, mac, client_id, state, expires FROM leases ORDER BY address")
    return [
        Lease(IPv4Address(address), MacAddress(mac), client_id, State(state), expires)
        for address, mac, client_id, state, expires in rows
    ]


def save(registry: Registry, leases: Sequence[Lease]) -> None:
    """Write them down in one commit, in the place of what was known of their addresses.

    As durable as the registry was opened. What a power cut takes from the server's is found again: a client that renews
    keeps its address, and none is offered at which somebody answers.
    """
    with registry.transaction():
        registry.sql.executemany(
            "INSERT OR REPLACE INTO leases (address, mac, client_id, state, expires) VALUES (?, ?, ?, ?, ?)",
            [(int(each.address), each.mac.value, each.client_id, each.state.value, each.expires) for each in leases],
        )


def in_force(leases: Sequence[Lease], now: float) -> list[Lease]:
    """Those whose clients have them now."""
    return [lease for lease in leases if lease.state is State.LEASED and lease.expires > now]
