"""What the events of the services change: boots, exports, and what is known of firmware."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.journal.timeline import Stage
from services.decision import Reason
from services.events import (
    AddressSeen,
    Discovered,
    Event,
    Ignored,
    LeaseChosen,
    Offered,
    Reported,
    ScriptServed,
    TransferFailed,
    TransferProgressed,
    TransferServed,
)
from tests.unit.appliance.server.test_boot_scripts import PC, PEER, Running

DISCOVERED = Discovered(PC, 7, ipxe=False, xid=1, secs=0)
LOADER = TransferProgressed(PC, "tftp", "snponly.efi", 0, 100)
OTHERS: tuple[Event, ...] = (
    Offered(PC, "snponly.efi", 67),
    LOADER,
    TransferServed(PC, "tftp", "snponly.efi", 100, 0.1),
    LeaseChosen(PC, PEER, ours=False),
    TransferFailed(PC, "http", "vmlinuz", 5, "gone"),
    Reported(PC, "reported"),
    Ignored("dhcp", str(PC), Reason.NO_IMAGE),
)


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Running]:
    running = Running(tmp_path)
    yield running
    running.registry.close()


def test_what_is_known_of_firmware_hears_of_each_event_once(box: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    observed: list[Event] = []
    monkeypatch.setattr(box.box.firmware, "observe", lambda event, at: observed.append(event))
    events = (DISCOVERED, ScriptServed(PC), AddressSeen(PC, PEER), *OTHERS)
    for event in events:
        box.box.emit(event)
    assert observed == list(events)
    observed.clear()
    box.script()
    assert observed == [ScriptServed(PC)], "the peer's own address is no request for a lease"


def test_exports_follow_addresses_and_the_way_of_the_root_alone(box: Running) -> None:
    def changes(event: Event) -> int:
        before = box.exports_changed
        box.box.emit(event)
        return box.exports_changed - before

    assert changes(DISCOVERED) == 0
    assert changes(AddressSeen(PC, PEER)) == 0, "behind a router a DHCPREQUEST shows nothing"
    assert changes(ScriptServed(PC, "nfs")) == 1
    assert changes(ScriptServed(PC, "nfs")) == 0
    assert changes(ScriptServed(PC, "http")) == 1
    assert [changes(event) for event in OTHERS] == [0] * len(OTHERS)


@pytest.mark.parametrize(
    ("first", "opens"),
    [
        (DISCOVERED, True),
        (LOADER, True),
        (ScriptServed(PC), True),
        (TransferProgressed(PC, "tftp", "snponly.efi", 50, 100), False),
        (TransferProgressed(PC, "http", "image/r/vmlinuz", 0, 100), False),
        (Offered(PC, "snponly.efi", 67), False),
        (Reported(PC, "reported"), False),
    ],
)
def test_a_boot_is_opened_by_signs_of_a_power_on_alone(box: Running, first: Event, opens: bool) -> None:
    box.box.emit(first)
    assert (box.journal.boot(PC) is not None) is opens


def test_a_report_counts_with_the_token_of_its_boot(box: Running) -> None:
    box.power_on()
    box.box.report(PC, "wrong", Reported(PC, "reported"), PEER)
    boot = box.journal.boot(PC)
    assert boot
    assert boot.stage is Stage.SCRIPT
    box.box.report(PC, box.token, Reported(PC, "reported"), PEER)
    boot = box.journal.boot(PC)
    assert boot
    assert boot.stage is Stage.REPORTED
