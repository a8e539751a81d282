"""A boot as it is shown: the document for scripts, and the words for a table."""

from dataclasses import asdict, replace

import pytest

from appliance.diagnosis.loaders import GRUB
from appliance.journal.timeline import STALLED_AFTER, Boot, fold
from appliance.view.boots import boot_view
from services.events import EntryStarted, Reported, TransferServed
from tests.unit.appliance.view.boot_of_a_pc import MAC, RELEASE, loading


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


@pytest.mark.parametrize(
    ("boot", "silent", "words"),
    [
        (Boot(1, MAC, 1000.0, "", RELEASE, last_event=1000.0), 0.0, ""),
        (loading(), 0.0, "script, initrd.img 33 %"),
        (loading(), STALLED_AFTER + 1, "script, initrd.img 33 % (stalled)"),
        (fold(loading(), EntryStarted(MAC, "local"), 1004.0), STALLED_AFTER + 1, "script, local, initrd.img 33 %"),
        (fold(loading(), Reported(MAC, "failed", {"reason": "no root"}), 1004.0), 0.0, "failed: no root"),
        (
            fold(replace(loading(), transfers=(), reached=()), TransferServed(MAC, "tftp", GRUB, 9, 1.0), 1004.0),
            60.0,
            "loader (failing)",
        ),
    ],
)
def test_the_progress_in_words(boot: Boot, silent: float, words: str) -> None:
    assert boot_view(boot, boot.last_event + silent).progress == words
