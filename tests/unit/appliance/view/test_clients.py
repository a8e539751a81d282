"""`clients list --json` and `clients show --json` are documents that scripts read."""

from dataclasses import asdict, replace
from pathlib import Path

from appliance.allowlist import Allowlist, Entry
from appliance.boot.next_boot import NextBoot
from appliance.firmware.knowledge import FirmwareKnowledge
from appliance.registry.records import Client
from appliance.view.clients import as_json, client_views, details
from appliance.view.facts import ClientRecord, KnownClients
from services.ethernet import MacAddress, MacRange
from tests.unit.appliance.view.boot_of_a_pc import MAC, loading

STRANGER = MacAddress.parse("52:55:00:00:00:01")
ALLOWED = Allowlist.of([Entry(MacRange.parse("52:54:00:*"), "room 12")])
PC = Client(1, MAC, 500.0, "a password")
RECORD = ClientRecord(
    PC,
    ALLOWED,
    [loading(), loading(began=2000.0)],
    (FirmwareKnowledge("fw"),),
    None,
    Path("/d/state/525400aabbcc"),
    host_name="boinc-525400aabbcc",
)


def test_the_list() -> None:
    known = KnownClients([PC, Client(2, STRANGER, 600.0, "")], {MAC: loading()}, ALLOWED)
    first, second = client_views(known, 1004.0)
    assert (first.mac, first.label, first.allowed, first.first_seen) == (str(MAC), "room 12", True, 500.0)
    assert first.boot is not None
    assert first.boot.stage == "script"
    assert asdict(second) == {
        "mac": str(STRANGER),
        "label": "",
        "allowed": False,
        "first_seen": 600.0,
        "boot": None,
        "now": None,
    }


def test_all_about_one_pc() -> None:
    document = as_json(details(RECORD, 1004.0))
    assert list(document) == [
        "mac", "label", "allowed", "first_seen", "boot", "now", "gui_rpc_password", "state", "boots", "firmware",
        "next_boot", "heard", "facts", "boinc", "orders", "schedule", "outside",
        "gone_back",
        "image", "no_image",
    ]  # fmt: skip
    assert [boot["started"] for boot in document["boots"]] == [1000.0, 2000.0]
    assert document["boot"] == document["boots"][-1]
    assert (document["gui_rpc_password"], document["state"]) == ("a password", "/d/state/525400aabbcc")
    assert [each["firmware"] for each in document["firmware"]] == ["fw"]
    assert document["next_boot"] is None


def test_a_next_boot_is_shown_to_scripts_until_a_boot_takes_it() -> None:
    for taken, shown in ((False, "local"), (True, None)):
        found = details(replace(RECORD, next_boot=NextBoot(MAC, "local", taken)), 1004.0)
        assert found.next_boot is not None
        assert as_json(found)["next_boot"] == shown


def test_which_range_allows_a_pc() -> None:
    assert details(RECORD, 1004.0).allowed_by == "52:54:00:00:00:00/24 room 12"
    assert details(replace(RECORD, allowlist=Allowlist()), 1004.0).allowed_by == ""
