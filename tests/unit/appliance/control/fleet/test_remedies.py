"""Which buttons a fault gets, and for which PC its commands are."""

import pytest

from appliance.control.fleet.remedies import Remedy, for_one, remedies

MAC = "52:54:00:00:00:01"
PAGE = f"/pcs/{MAC}"


@pytest.mark.parametrize(
    ("cure", "told"),
    [
        ("netboot-appliance order MAC resume; or restart it", f"netboot-appliance order {MAC} resume; or restart it"),
        ("look: netboot-appliance clients show MAC", f"look: netboot-appliance clients show {MAC}"),
        ("netboot-appliance doctor probe MAC asks it", f"netboot-appliance doctor probe {MAC} asks it"),
        ("netboot-appliance allow add MAC --root nfs", f"netboot-appliance allow add {MAC} --root nfs"),
        # The card that was found is another one than that of this PC.
        *[
            (same, same)
            for same in ("switch MAC pass-through off", "netboot-appliance allow add MAC, and boot from it")
        ],
    ],
)
def test_only_what_is_about_this_pc_names_it(cure: str, told: str) -> None:
    assert for_one(cure, MAC) == told


def test_an_order_is_given_at_once_and_one_that_ends_a_boot_after_a_question() -> None:
    fields = (("verb", "resume"), ("brief", "yes"))
    (found,) = remedies("netboot-appliance order MAC resume", MAC)
    assert found == Remedy("Resume", f"{PAGE}#orders", f"{PAGE}/orders", fields)
    (found,) = remedies("restart the PC: netboot-appliance order MAC reboot", MAC)
    assert (found.name, found.fields[0]) == ("Restart now", ("verb", "reboot"))
    assert found.question.startswith("Restart now? Tasks stop at once")


def test_a_setting_is_filled_in_with_the_label_that_the_pc_has() -> None:
    (found,) = remedies("let it mount its root: netboot-appliance allow add MAC --root nfs", MAC, "room 12")
    address = "/allowlist?range=52%3A54%3A00%3A00%3A00%3A01&label=room+12&root=nfs#add"
    assert found == Remedy("Let it mount its root…", address)


def test_a_silent_pc_may_be_gone_for_good() -> None:
    found = remedies("before it is switched off for good: netboot-appliance order MAC finish", MAC)
    assert [(each.name, each.address, each.post) for each in found] == [
        ("Orders", f"{PAGE}#orders", ""),
        ("Forget it…", f"{PAGE}#forget", ""),
    ]


def test_several_pcs_have_what_helps_all_of_them() -> None:
    (found,) = remedies("netboot-appliance order MAC reboot", cause="BOINC does not run", pcs=1_200)
    assert (found.name, found.post) == ("Restart now: 1,200 PCs", "/faults/orders")
    assert found.fields == (("cause", "BOINC does not run"), ("verb", "reboot"))
    assert found.address == "/?text=BOINC+does+not+run#filter"
    assert found.question.startswith("Restart now: 1,200 PCs? Tasks stop")
    assert remedies("netboot-appliance allow add MAC --root nfs", cause="no memory", pcs=2) == ()
    assert remedies("netboot-appliance doctor probe MAC asks it; netboot-appliance doctor pcap FILE") == ()
    cure = "netboot-appliance doctor (check nfs-mount); then netboot-appliance image build"
    assert remedies(cure) == (Remedy("Run the doctor", "/health"), Remedy("Images", "/images"))
