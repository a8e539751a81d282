"""The leases of the box's own DHCP server, as people and scripts see them: `leases list` and its --json. PURE."""

from collections.abc import Sequence
from dataclasses import dataclass

from appliance.allowlist import Allowlist
from services.dhcp.lease import Lease, State


@dataclass(frozen=True, slots=True)
class LeaseView:
    """An address and the PC that has or had it. `expires` is in seconds since the epoch, `client_id` is in hex."""

    address: str
    mac: str
    client_id: str
    state: str
    expires: float
    label: str
    allowed: bool


def lease_views(known: Sequence[Lease], allowlist: Allowlist, now: float) -> list[LeaseView]:
    """Every lease in the order given. A lease that was not renewed counts as ended, whatever its stored state."""
    return [_lease_view(lease, allowlist, now) for lease in known]


def _lease_view(lease: Lease, allowlist: Allowlist, now: float) -> LeaseView:
    entry = allowlist.decide(lease.mac)
    ended = lease.expires <= now or lease.state is State.RELEASED
    return LeaseView(
        address=str(lease.address),
        mac=str(lease.mac),
        client_id=lease.client_id.hex(),
        state="ended" if ended else lease.state.value,
        expires=lease.expires,
        label=entry.label if entry else "",
        allowed=entry is not None,
    )
