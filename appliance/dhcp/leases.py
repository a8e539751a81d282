"""The table of leases: which addresses the DHCP server gave to whom, so that it still knows after a restart."""

from collections.abc import Sequence
from ipaddress import IPv4Address

from appliance.registry.database import Registry
from appliance.registry.rows import mac, moment, whole
from services.dhcp.lease import Lease, State


def load(registry: Registry) -> list[Lease]:
    """All stored leases, ended ones included, by address."""
    with registry.reading("leases"):
        rows = registry.sql.execute("SELECT address, mac, client_id, state, expires FROM leases ORDER BY address")
        return [
            Lease(IPv4Address(whole(address)), mac(number), bytes(client_id), State(state), moment(expires))
            for address, number, client_id, state, expires in rows
        ]


def save(registry: Registry, leases: Sequence[Lease]) -> None:
    """Store the leases in one commit, replacing earlier ones of the same addresses.

    As durable as the registry was opened. Leases that the server loses in a power cut do no harm: a client that renews
    keeps its address, and an address at which somebody answers is not offered.
    """
    with registry.transaction():
        registry.sql.executemany(
            "INSERT OR REPLACE INTO leases (address, mac, client_id, state, expires) VALUES (?, ?, ?, ?, ?)",
            [(int(each.address), each.mac.value, each.client_id, each.state.value, each.expires) for each in leases],
        )


def in_force(leases: Sequence[Lease], now: float) -> list[Lease]:
    """The leases that clients hold at `now`, in seconds since the epoch."""
    return [lease for lease in leases if lease.state is State.LEASED and lease.expires > now]
