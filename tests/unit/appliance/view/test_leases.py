"""`leases list --json` is a document that scripts read."""

from dataclasses import asdict
from ipaddress import IPv4Address

import pytest

from appliance.allowlist import Allowlist, Entry
from appliance.view.leases import lease_views
from services.dhcp.lease import Lease, State
from services.ethernet import MacAddress, MacRange

MAC = MacAddress.parse("52:54:00:aa:bb:cc")
ALLOWED = Allowlist.of([Entry(MacRange.parse("52:54:00:*"), "room 12")])


def test_the_document() -> None:
    (shown,) = lease_views([Lease(IPv4Address("10.77.0.5"), MAC, b"\x01\xff", State.LEASED, 60.0)], ALLOWED, 0.0)
    assert asdict(shown) == {
        "address": "10.77.0.5",
        "mac": str(MAC),
        "client_id": "01ff",
        "state": "leased",
        "expires": 60.0,
        "label": "room 12",
        "allowed": True,
    }


@pytest.mark.parametrize(
    ("state", "expires", "shown"),
    [
        (State.LEASED, 101.0, "leased"),
        (State.LEASED, 100.0, "ended"),
        (State.BLOCKED, 101.0, "blocked"),
        (State.BLOCKED, 99.0, "ended"),
        (State.RELEASED, 101.0, "ended"),
    ],
)
def test_a_lease_that_nobody_renewed_has_ended(state: State, expires: float, shown: str) -> None:
    (found,) = lease_views([Lease(IPv4Address("10.77.0.5"), MAC, b"", state, expires)], Allowlist(), 100.0)
    assert (found.state, found.label, found.allowed) == (shown, "", False)
