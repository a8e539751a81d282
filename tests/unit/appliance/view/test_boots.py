"""A boot as it is shown: the document for scripts."""

from dataclasses import asdict, replace

from appliance.diagnosis.fault import Seen
from appliance.heartbeats.records import StoredHeartbeat
from appliance.view.boots import boot_view
from tests.unit.appliance.view.boot_of_a_pc import MAC, RELEASE, loading


def test_the_document() -> None:
    assert asdict(boot_view(loading(), 1004.0)) == {
        "id": 1,
        "mac": "52:54:00:aa:bb:cc",
        "started": 1000.0,
        "stage": "script",
        "stages": (
            {"stage": "discovered", "at": 0.0},
            {"stage": "offered", "at": 0.012},
            {"stage": "loader", "at": 2.0},
            {"stage": "script", "at": 3.0},
        ),
        "transfers": (
            {"path": "snponly.efi", "service": "tftp", "sent": 200_000, "size": 200_000, "failed": ""},
            {"path": f"image/{RELEASE}/initrd.img", "service": "http", "sent": 10, "size": 30, "failed": ""},
        ),
        "addresses": ("10.77.0.5",),
        "release": RELEASE,
        "entry": "boinc",
        "host_id": "",
        "failure": "",
        "diagnosis": None,
        "last_event": 1003.5,
        "stalled": False,
    }


def test_the_token_is_not_shown() -> None:
    assert "the token" not in str(boot_view(loading(), 1004.0))


def test_a_boot_that_sends_heartbeats_is_not_stalled_however_long_its_last_report_was_ago() -> None:
    beats = StoredHeartbeat(MAC, 1, 1999.0, {}, "{}")
    assert boot_view(loading(), 2000.0).stalled
    assert not boot_view(loading(), 2000.0, Seen(heartbeat=beats)).stalled
    assert boot_view(loading(), 2000.0, Seen(heartbeat=replace(beats, boot=7))).stalled, "that was an earlier boot"
