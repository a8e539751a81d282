"""`status --json` is a document that scripts read: its keys, their order and their values."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from appliance.allowlist import Allowlist, Entry
from appliance.boot.next_boot import NextBoot
from appliance.exports.forgotten_work import ForgottenWork
from appliance.firmware.knowledge import FirmwareKnowledge, Why
from appliance.heartbeats.states import Kind
from appliance.images.notes import UpdateCheck
from appliance.registry.disk import Disk
from appliance.registry.records import BootCounts, IgnoredRow
from appliance.registry.reload_result import ReloadResult
from appliance.view.facts import BoxState, PageState
from appliance.view.status import as_json, status_view
from image.recipe import ImageRecipe
from image.release import Release
from image.updates import PackageUpdate
from services.dhcp.lease import Lease, State
from services.dhcp.plan import Profile
from services.ethernet import MacRange
from tests.unit.appliance.view.boot_of_a_pc import MAC, RELEASE, loading

NOW = 1010.0
DISK = Disk(Path("/d"), 80 << 30, None, read_only=False)
BOX = BoxState(
    pid=4242,
    server={
        "started": 900.0,
        "services": [{"name": "TFTP", "address": "10.77.0.1", "port": 69}],
        "trouble": ["lan0 is down"],
        "heartbeats_lost": 1200,
        "addresses": 100,
        "exports": {"backend": "kernel", "why": "it runs", "error": ""},
        "claims": [
            {"address": "10.77.0.5", "claimant": "02:66:00:00:00:01", "holder": "52:54:00:aa:bb:cc", "at": 1000.0}
        ],
        "forgotten": {"newcomers": 0, "refusals": 3},
    },
    reload=ReloadResult(5.0, 950.0, "line 3 is wrong", "correct it"),
    image=Release(Path("/i") / RELEASE, datetime(2026, 11, 23, tzinfo=UTC), ImageRecipe(), "", "6.1", {}),
    image_error="",
    image_outdated="[image] backports is true, and it was built with false",
    image_check=UpdateCheck(NOW - 7200.0, (PackageUpdate("openssl", "3.5.0-1", "3.5.9-1", security=True),)),
    disk=DISK,
    allowlist=Allowlist.of([Entry(MacRange.parse("52:54:00:*"), "room 12")]),
    boots=[loading()],
    signs={},
    states={Kind.COMPUTING: 2, Kind.BOOTING: 1, Kind.SILENT: 1},
    counted=BootCounts(4, 1),
    firmware={MAC: (FirmwareKnowledge("PXEClient 7", Profile.PLAIN, worked=True, why=Why.IGNORED, at=800.0),)},
    ignored=[IgnoredRow("52:54:01:00:00:01", "DHCP", "not allowed", 100.0, 200.0, 7, "10.77.0.9", "02:66:00:00:00:01")],
    next_boots=[NextBoot(MAC, "local", taken=False)],
    leases=[
        Lease(IPv4Address("10.77.0.5"), MAC, b"", State.LEASED, NOW + 1),
        Lease(IPv4Address("10.77.0.6"), MAC, b"", State.LEASED, NOW - 1),
    ],
    page=PageState(77, ("https://10.77.0.1:8443/",)),
    kept=[ForgottenWork(1000, MAC)],
)


def test_the_document() -> None:
    document = as_json(status_view(BOX, NOW))
    (boot,) = document.pop("boots")
    assert (boot["mac"], boot["stage"]) == (str(MAC), "script")
    assert boot["now"] == {
        "kind": "booting",
        "words": "booting: script, initrd.img 33 %",
        "since": 1000.0,
        "heard": 1003.5,
    }
    assert json.loads(json.dumps(document)) == {
        "server": {"pid": 4242, "started": 900.0},
        "page": {"pid": 77, "addresses": ["https://10.77.0.1:8443/"], "rejected": None},
        "reload_rejected": {
            "begun": 5.0,
            "at": 950.0,
            "error": "line 3 is wrong",
            "hint": "correct it",
            "restart": False,
        },
        "services": [{"name": "TFTP", "address": "10.77.0.1", "port": 69}],
        "trouble": ["lan0 is down", "heartbeats lost, while the registry could not be written: 1,200"],
        "disk": [],
        "kept_work": {
            "pcs": 1,
            "soon": 0,
            "first": 1000 + 7 * 86400,
            "words": "the work of 1 forgotten PC is kept",
        },
        "leases": {"leased": 1, "addresses": 100},
        "exports": {"backend": "kernel", "why": "it runs", "error": ""},
        "claims": [
            {
                "address": "10.77.0.5",
                "claimant": "02:66:00:00:00:01",
                "claimant_label": "",
                "holder": str(MAC),
                "holder_label": "room 12",
                "at": 1000.0,
            }
        ],
        "image": {"id": RELEASE, "created": 1795392000.0},
        "image_error": "",
        "image_outdated": "[image] backports is true, and it was built with false",
        "image_check": {
            "release": RELEASE,
            "checked": NOW - 7200.0,
            "security": 1,
            "updates": [{"name": "openssl", "installed": "3.5.0-1", "candidate": "3.5.9-1", "security": True}],
            "words": "1 update, 1 of security; checked 2 h ago",
        },
        "images": [],
        "rollout": {"canary": None, "gone_back": []},
        "next_boots": [{"mac": str(MAC), "entry": "local", "taken": False}],
        "schedules": [],
        "held": [],
        "allowed": {"entries": 1, "addresses": 1 << 24},
        "pcs": {"known": 4, "on": 3, "states": {"computing": 2, "booting": 1, "silent": 1}},
        "counted": {"clients": 4, "newcomers": 1},
        "forgotten": {"newcomers": 0, "refusals": 3},
        "firmware": [
            {
                "mac": str(MAC),
                "firmware": "PXEClient 7",
                "profile": Profile.PLAIN.value,
                "worked": True,
                "why": Why.IGNORED.value,
                "at": 800.0,
            }
        ],
        "ignored": [
            {
                "client": "52:54:01:00:00:01",
                "service": "DHCP",
                "reason": "not allowed",
                "first_at": 100.0,
                "last_at": 200.0,
                "count": 7,
                "sender": "10.77.0.9",
                "sender_mac": "02:66:00:00:00:01",
            }
        ],
    }
    assert list(as_json(status_view(BOX, NOW)))[-3:] == ["forgotten", "firmware", "ignored"]


def test_what_a_stopped_server_wrote_about_itself_is_left_out() -> None:
    stopped = status_view(replace(BOX, pid=None), NOW)
    assert (stopped.server.pid, stopped.server.started) == (None, None)
    assert (stopped.reload_rejected, stopped.leases, stopped.exports, stopped.claims) == (None, None, None, ())
    assert (list(stopped.services), list(stopped.trouble)) == ([], [])
    assert len(stopped.boots) == 1


def test_a_reload_that_worked_is_not_shown() -> None:
    assert status_view(replace(BOX, reload=ReloadResult(5.0, 950.0)), NOW).reload_rejected is None


def test_a_box_that_gives_out_no_addresses_has_no_leases() -> None:
    assert status_view(replace(BOX, server={"started": 900.0}), NOW).leases is None


@pytest.mark.parametrize(
    ("disk", "said"),
    [
        (DISK, ()),
        (replace(DISK, free=1 << 20), ("the disk is full: 0.0 GB are free for /d",)),
        (replace(DISK, files=3), ("only 3 more files fit into /d",)),
        (replace(DISK, read_only=True), ("the file system of /d is read-only",)),
    ],
)
def test_a_disk_on_which_nothing_can_be_saved(disk: Disk, said: tuple[str, ...]) -> None:
    assert status_view(replace(BOX, disk=disk), NOW).disk == said


def test_a_pc_is_called_by_its_label() -> None:
    assert status_view(BOX, NOW).labels == {str(MAC): "room 12"}
    assert status_view(replace(BOX, allowlist=Allowlist()), NOW).labels == {str(MAC): ""}
