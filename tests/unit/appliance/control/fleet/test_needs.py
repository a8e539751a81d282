"""What needs a person first."""

from appliance.control.fleet.needs import Need, needs, of_box
from appliance.diagnosis.fault import BoxTrouble, Diagnosis
from appliance.exports.forgotten_work import ForgottenWork
from appliance.registry.reload_result import ReloadResult
from appliance.view.kept_work import kept_work_view
from services.ethernet import MacAddress
from tests.unit.appliance.control.fleet.pcs import REFUSES, SILENT, facts


def test_the_fault_of_most_pcs_comes_first_and_the_box_before_all() -> None:
    box = (Need("the disk is full", "netboot-appliance doctor"),)
    found = needs(box, [facts(1), facts(2, diagnosis=REFUSES), facts(3, diagnosis=SILENT), facts(4, diagnosis=SILENT)])
    assert found.box == box
    assert [(group.cause, group.named(9)) for group in found.faults] == [
        (SILENT.cause, "52:54:00:00:00:03 (silent for 15 min), 52:54:00:00:00:04 (silent for 15 min)"),
        (REFUSES.cause, "52:54:00:00:00:02"),
    ]
    assert found


def test_what_somebody_wanted_needs_nobody() -> None:
    paused = Diagnosis("BOINC is suspended: user request", "order resume", failing=False)
    found = needs((), [facts(1, diagnosis=paused)])
    assert not found
    assert [group.cause for group in found.waits] == [paused.cause]


def test_many_different_faults_are_cut_and_counted() -> None:
    found = needs((), [facts(n, diagnosis=Diagnosis(f"fault {n}", "do")) for n in range(1, 31)])
    assert (len(found.faults), found.more) == (20, 10)


def test_a_box_that_does_not_run_says_only_that() -> None:
    (need,) = of_box(False, {"trouble": ["no address"]}, None, BoxTrouble("e", "d"), image=False)
    assert need.cure == "sudo systemctl start netboot-appliance"


def test_each_trouble_of_the_box_has_its_cure() -> None:
    rejected = ReloadResult(1.0, 2.0, "unknown key 'x'", "did you mean 'y'?")
    found = of_box(
        True, {"trouble": ["eth0 is down"]}, rejected, BoxTrouble("no ganesha", "the disk is full"), image=False
    )
    assert [(need.cause, need.cure) for need in found] == [
        ("PCs cannot reach the server: eth0 is down", "sudo netboot-appliance doctor"),
        ("the disk is full", "sudo netboot-appliance doctor"),
        ("The NFS exports are not in force: no ganesha", "sudo netboot-appliance doctor"),
        ("The last reload was rejected, the old configuration stays: unknown key 'x'", "did you mean 'y'?"),
        ("No image is active: PCs have nothing to boot", "sudo netboot-appliance image build"),
    ]
    assert of_box(True, {}, ReloadResult(1.0, 2.0), BoxTrouble(), image=True) == ()


def test_work_that_is_deleted_soon_needs_a_person_and_other_work_does_not() -> None:
    pc = MacAddress.parse("52:54:00:aa:bb:cc")
    kept = [ForgottenWork(1_000_000, pc)]
    for days, told in ((1, False), (6, True)):
        view = kept_work_view(kept, 1_000_000 + days * 86400.0)
        found = of_box(True, {}, None, BoxTrouble(), image=True, kept=view)
        assert bool(found) is told
    (need,) = found
    assert need.cause.startswith(
        "Work will be lost: the work of 1 forgotten PC is kept; that of 1 is deleted soon, the first in 24 h"
    )
    assert "clients restore" in need.cure
