"""Who claims whose address, in the words of `status` and `doctor`."""

from ipaddress import IPv4Address

from appliance.allowlist import Allowlist, Entry
from appliance.exports.ownership import CLAIM_SECONDS, ForeignClaim, facts
from appliance.view.address_claims import address_claim_views
from services.ethernet import MacAddress, MacRange

DESK, NEXT, STRANGER = (MacAddress.parse(f"02:00:00:00:00:{number:02x}") for number in (7, 8, 0x66))
ADDRESS = IPv4Address("10.77.0.50")
ALLOWED = Allowlist.of([Entry(MacRange(DESK, DESK), "desk 7"), Entry(MacRange(NEXT, NEXT), "")])


def test_both_machines_are_named_the_latest_claim_first() -> None:
    claims = [ForeignClaim(ADDRESS, STRANGER, DESK, 10.0), ForeignClaim(ADDRESS, DESK, NEXT, 20.0)]
    first, second = address_claim_views(facts(claims, 0.0), ALLOWED, 21.0)
    assert second.words == "02:00:00:00:00:66 claims 10.77.0.50 of desk 7 (02:00:00:00:00:07)"
    assert first.words == "desk 7 (02:00:00:00:00:07) claims 10.77.0.50 of 02:00:00:00:00:08"


def test_old_claims_are_left_out() -> None:
    claims = facts([ForeignClaim(ADDRESS, STRANGER, DESK, 10.0)], 0.0)
    assert address_claim_views(claims, ALLOWED, 10.0 + CLAIM_SECONDS) == ()
