"""A boot as it is shown: the document for scripts."""

from dataclasses import asdict

from appliance.view.boots import boot_view
from tests.unit.appliance.view.boot_of_a_pc import RELEASE, loading


def test_the_document() -> None:
    assert asdict(boot_view(loading(), 1004.0)) == {
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
