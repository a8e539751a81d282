"""What the doctor says about machines that claim a PC's address."""

from dataclasses import replace

from appliance.doctor.addresses import judge
from appliance.doctor.finding import Severity
from appliance.view.address_claims import AddressClaimView

CLAIM = AddressClaimView("10.77.0.50", "02:66:00:00:00:01", "", "02:00:00:00:00:07", "desk 7", 10.0)


def test_a_claim_names_both_machines_and_what_to_do() -> None:
    (finding,) = judge([CLAIM])
    assert finding.severity is Severity.WARNING
    assert finding.what == "02:66:00:00:00:01 claims 10.77.0.50 of desk 7 (02:00:00:00:00:07)"
    assert "02:66:00:00:00:01" in finding.what_to_do


def test_many_claims_are_a_short_list() -> None:
    found = judge([replace(CLAIM, address=f"10.77.0.{last}") for last in range(1, 251)])
    assert len(found) == 11
    assert found[-1].what == "and 240 more claims (status --json)"


def test_no_claim_is_as_it_should_be() -> None:
    (finding,) = judge([])
    assert finding.severity is Severity.OK
