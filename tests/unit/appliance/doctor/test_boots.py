"""What the doctor says about boots that got stuck."""

from dataclasses import replace

from appliance.doctor.boots import judge
from appliance.doctor.finding import Severity
from appliance.journal.timeline import replay
from services.ethernet import MacAddress
from tests.unit.appliance.journal.test_timeline import MAC, NEW, SECURE, WHOLE


def test_pcs_whose_grub_went_astray_are_named_with_the_cures() -> None:
    stuck = replay(NEW, SECURE)
    other = replace(stuck, mac=MacAddress(MAC.value + 1))
    (finding,) = judge((stuck, replay(NEW, WHOLE), other), 1000.0)
    assert finding.severity is Severity.WARNING
    assert finding.what == "Secure Boot: GRUB asked 10.0.0.2: 52:54:00:aa:bb:cc, 52:54:00:aa:bb:cd"
    assert "next-server" in finding.what_to_do
    assert 'mode = "server"' in finding.what_to_do


def test_boots_that_went_well_or_are_under_way_are_no_finding() -> None:
    (finding,) = judge((replay(NEW, WHOLE), replay(NEW, SECURE)), 110.0)
    assert finding.severity is Severity.OK
