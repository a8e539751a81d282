"""What the doctor says about PCs that do not boot."""

from dataclasses import replace

from appliance.allowlist import Allowlist, Entry
from appliance.doctor.boots import LONG_AGO, judge
from appliance.doctor.finding import Severity
from appliance.journal.timeline import Boot
from appliance.view.evidence import Evidence, evidence
from services.decision import Reason
from services.ethernet import MacAddress, MacRange
from services.events import Reported, TransferServed
from tests.unit.appliance.diagnosis.stories import MAC, loaded, power_on, refused, told, up

ALL = Allowlist.of([Entry(MacRange.parse("52:54:00:*"), "room 12")])
EVERYBODY = Evidence(allowlist=ALL)
GRUB = (*power_on(100.0, "shimx64.efi"), (103.0, TransferServed(MAC, "tftp", "grubx64.efi", 3000, 1.0)))
WELL = told((*up(), (170.0, Reported(MAC, "computing"))))


def copies(boot: Boot, count: int) -> list[Boot]:
    return [replace(boot, mac=MacAddress(MAC.value + number)) for number in range(count)]


def test_a_room_with_one_fault_is_one_line_with_the_cure() -> None:
    (finding,) = judge("boots", (*copies(told(GRUB), 10), WELL), EVERYBODY, 1000.0)
    assert finding.severity is Severity.WARNING
    assert finding.what.startswith("Secure Boot: GRUB asked 10.0.0.2: 52:54:00:aa:bb:cc, 52:54:00:aa:bb:cd, ")
    assert finding.what.endswith(" and 2 more")
    assert "next-server" in finding.what_to_do
    assert 'mode = "server"' in finding.what_to_do


def test_each_fault_has_its_line_that_of_most_pcs_first() -> None:
    findings = judge("boots", (told(GRUB), *copies(told(loaded()), 2)), EVERYBODY, 1000.0)
    assert [finding.what.split(":")[0] for finding in findings] == [
        "took kernel and initrd, and never came back",
        "Secure Boot",
    ]


def test_boots_that_went_well_or_are_under_way_are_no_finding() -> None:
    (finding,) = judge("boots", (WELL, told(loaded())), EVERYBODY, 120.0)
    assert finding.severity is Severity.OK


def test_a_pc_that_may_not_boot_any_more_is_no_finding() -> None:
    (finding,) = judge("boots", (told(GRUB),), Evidence(), 1000.0)
    assert finding.severity is Severity.OK


def test_a_pc_that_failed_long_ago_is_a_note() -> None:
    fine, gone = judge("boots", (told(GRUB),), EVERYBODY, 104.0 + LONG_AGO)
    assert (fine.severity, gone.severity) == (Severity.OK, Severity.NOTE)
    assert gone.what == "1 PC that failed last was not heard for a week"


def test_what_was_refused_and_what_the_server_says_of_itself_are_evidence() -> None:
    server = {
        "exports": {"error": "no NFS server"},
        "claims": [{"address": "10.0.0.5", "claimant": "02:66:00:00:00:01", "holder": str(MAC), "at": 1000.0}],
    }
    row = refused(Reason.MAC_MISMATCH, 140.0, "02:66:00:00:00:02")
    found = evidence(server, [row], ALL, 10, "the disk is full", 1001.0).of(told(loaded()), None, None, 1001.0)
    assert found.refused == (row,)
    assert found.claims == ("02:66:00:00:00:01 claims 10.0.0.5",)
    assert (found.menu, found.box.exports, found.box.disk) == (10, "no NFS server", "the disk is full")
    other = evidence(server, [row], ALL, 10, "", 1001.0).of(
        replace(told(loaded()), mac=MacAddress(MAC.value + 1)), None, None, 1001.0
    )
    assert (other.refused, other.claims) == ((), ())
    (finding,) = judge("boots", (told(loaded()),), evidence(server, [row], ALL, 0, "", 1001.0), 1001.0)
    assert finding.what.endswith("52:54:00:aa:bb:cc (the card found is 02:66:00:00:00:02)")
