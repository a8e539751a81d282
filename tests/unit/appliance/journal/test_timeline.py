"""Boots as folds of events: stages, retries, new power-ons, addresses."""

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from appliance.journal.timeline import (
    RETURNS_WITHIN,
    AddressLost,
    Boot,
    PowerOnSign,
    Stage,
    continues,
    fold,
    replay,
    returned,
)
from services.ethernet import MacAddress
from services.events import (
    AddressSeen,
    Discovered,
    EntryStarted,
    LeaseChosen,
    Offered,
    Reported,
    Returned,
    ScriptServed,
    TransferFailed,
    TransferProgressed,
    TransferServed,
)

MAC = MacAddress.parse("52:54:00:aa:bb:cc")
A, B = IPv4Address("10.0.0.5"), IPv4Address("10.0.0.6")
NEW = Boot(1, MAC, started=100.0, token="t", release="r", last_event=100.0)
FIRMWARE = Discovered(MAC, architecture=7, ipxe=False, xid=1, secs=0)
IPXE = Discovered(MAC, architecture=7, ipxe=True, xid=2, secs=0)
WHOLE = (
    (100.0, FIRMWARE),
    (100.1, Offered(MAC, "525400aabbcc/snponly.efi", 67)),
    (104.0, Offered(MAC, "525400aabbcc/snponly.efi", 4011)),
    (105.0, TransferProgressed(MAC, "tftp", "snponly.efi", 0, 200)),
    (106.0, TransferServed(MAC, "tftp", "snponly.efi", 200, 1.0)),
    (108.0, IPXE),
    (110.0, ScriptServed(MAC)),
    (111.0, TransferServed(MAC, "http", "r/vmlinuz", 8000, 1.0)),
    (115.0, TransferServed(MAC, "http", "r/initrd.img", 40000, 4.0)),
    (140.0, Reported(MAC, "root-mounted")),
    (170.0, Reported(MAC, "reported")),
    (180.0, Reported(MAC, "attached", {"hostid": "17"})),
    (190.0, Reported(MAC, "computing")),
)


def test_a_whole_boot_reaches_every_stage_once_in_order() -> None:
    boot = replay(NEW, WHOLE)
    assert [r.stage for r in boot.reached] == [s for s in Stage if s not in (Stage.FAILED, Stage.OFF)]
    assert [r.at for r in boot.reached] == [100.0, 100.1, 106.0, 110.0, 111.0, 115.0, 140.0, 170.0, 180.0, 190.0]
    assert boot.host_id == "17"
    assert boot.architecture == 7


def test_secrets_are_spent_once_userspace_has_reported() -> None:
    assert not replay(NEW, WHOLE[:10]).secrets_spent
    assert replay(NEW, WHOLE[:11]).secrets_spent


def test_a_retry_continues_and_the_loaded_ipxe_continues() -> None:
    asked = replay(NEW, WHOLE[:2])
    assert continues(asked, FIRMWARE, 108.0)
    assert continues(asked, replace(FIRMWARE, xid=9), 132.0)
    assert continues(replay(NEW, WHOLE[:5]), IPXE, 108.0)


def test_a_power_on_after_the_script_is_a_new_boot() -> None:
    booted = replay(NEW, WHOLE[:7])
    assert not continues(booted, FIRMWARE, 112.0)
    assert not continues(booted, IPXE, 112.0)
    assert not continues(None, FIRMWARE, 0.0)


LOADER = TransferProgressed(MAC, "tftp", "snponly.efi", 0, 200)
SCRIPT = ScriptServed(MAC)


@pytest.mark.parametrize("sign", [LOADER, SCRIPT], ids=["loader", "script"])
def test_a_repeated_request_belongs_to_its_boot_until_the_live_system_runs(sign: PowerOnSign) -> None:
    for events in range(1, 10):
        boot = replay(NEW, WHOLE[:events])
        assert continues(boot, sign, boot.last_event + 599)
        assert not continues(boot, sign, boot.last_event + 601)
    for events in range(10, 14):
        assert not continues(replay(NEW, WHOLE[:events]), sign, 191.0)
    assert not continues(None, sign, 100.0)


def test_firmware_after_its_loader_is_a_new_power_on() -> None:
    assert not continues(replay(NEW, WHOLE[:5]), replace(FIRMWARE, xid=9), 110.0)


def test_a_failure_is_shown_until_a_later_success() -> None:
    failed = fold(replay(NEW, WHOLE[:10]), Reported(MAC, "failed", {"reason": "state refused"}), 150.0)
    assert (failed.stage, failed.failure) == (Stage.FAILED, "state refused")
    again = fold(failed, Reported(MAC, "reported"), 170.0)
    assert (again.stage, again.failure) == (Stage.REPORTED, "")


def test_a_failed_transfer_keeps_its_size() -> None:
    boot = replay(NEW, [*WHOLE[:4], (105.5, TransferFailed(MAC, "tftp", "snponly.efi", 50, "gave up"))])
    (transfer,) = boot.transfers
    assert (transfer.sent, transfer.size, transfer.failed) == (50, 200, "gave up")


def test_inherited_addresses_last_until_the_script_is_served() -> None:
    boot = fold(replace(NEW, inherited=(A,)), AddressSeen(MAC, B), 101.0)
    assert set(boot.known_addresses) == {A, B}
    assert fold(boot, ScriptServed(MAC), 102.0).known_addresses == (B,)


def test_the_latest_script_says_how_the_pc_gets_its_root() -> None:
    http = fold(NEW, ScriptServed(MAC, "http"), 101.0)
    assert (NEW.root, http.root, fold(http, ScriptServed(MAC, "nfs"), 102.0).root) == ("", "http", "nfs")


def test_the_live_system_of_an_http_root_shows_progress_and_is_no_step_back() -> None:
    path = "image/r/live/filesystem.squashfs"
    boot = fold(replay(NEW, WHOLE[:9]), TransferProgressed(MAC, "http", path, 7, 100), 116.0)
    assert [transfer.sent for transfer in boot.transfers if transfer.path == path] == [7]
    # A PC whose own iPXE boots has no stage "loader".
    ours = replay(NEW, (*WHOLE[:2], *WHOLE[6:9]))
    assert ours.stage is Stage.INITRD
    assert fold(ours, TransferServed(MAC, "http", path, 100, 1.0), 117.0).reached == ours.reached


def test_an_address_that_another_client_has_now_is_lost() -> None:
    boot = replay(replace(NEW, inherited=(A,)), [(101.0, AddressSeen(MAC, B)), (102.0, AddressLost(MAC, B))])
    assert boot.known_addresses == (A,)
    assert fold(boot, AddressLost(MAC, A), 103.0).known_addresses == ()


def test_a_boot_knows_what_it_lost_until_it_gets_it_back_or_begins_anew() -> None:
    boot = replay(NEW, [(101.0, AddressSeen(MAC, A)), (102.0, AddressLost(MAC, A)), (103.0, AddressLost(MAC, B))])
    assert boot.lost == (A, B)
    assert fold(boot, AddressSeen(MAC, A), 104.0).lost == (B,)
    assert fold(boot, AddressLost(MAC, A), 104.0).lost == (B, A)
    assert fold(boot, ScriptServed(MAC), 104.0).lost == ()


def test_silence_is_a_stall_unless_the_pc_computes() -> None:
    assert replay(NEW, WHOLE[:9]).stalled(115.0 + 181)
    assert not replay(NEW, WHOLE[:9]).stalled(115.0 + 179)
    assert not replay(NEW, WHOLE).stalled(10_000.0)


SECURE = (
    (100.0, FIRMWARE),
    (100.1, Offered(MAC, "525400aabbcc/shimx64.efi", 67)),
    (102.0, LeaseChosen(MAC, IPv4Address("10.0.0.2"), ours=False)),
    (104.0, TransferServed(MAC, "tftp", "shimx64.efi", 900, 1.0)),
    (105.0, TransferServed(MAC, "tftp", "grubx64.efi", 3000, 1.0)),
)


def test_grub_reads_its_configuration_as_a_script() -> None:
    boot = replay(NEW, (*SECURE, (106.0, ScriptServed(MAC)), (106.1, TransferServed(MAC, "tftp", "grub.cfg", 5, 0.1))))
    boot = fold(boot, TransferServed(MAC, "tftp", "image/r/vmlinuz", 8000, 1.0), 107.0)
    boot = fold(boot, TransferServed(MAC, "tftp", "image/r/microcode.img", 7000, 1.0), 108.0)
    assert boot.stage is Stage.KERNEL, "the ramdisk is still to come"
    boot = fold(boot, TransferServed(MAC, "tftp", "image/r/initrd.img", 40000, 4.0), 111.0)
    stages = [Stage.DISCOVERED, Stage.OFFERED, Stage.LOADER, Stage.SCRIPT, Stage.KERNEL, Stage.INITRD]
    assert [reached.stage for reached in boot.reached] == stages


def test_a_pc_that_boots_something_else_is_not_stalled() -> None:
    boot = fold(NEW, ScriptServed(MAC), 100)
    assert boot.stalled(1000)
    assert not fold(boot, EntryStarted(MAC, "local"), 101).stalled(1000)
    assert fold(fold(boot, EntryStarted(MAC, "local"), 101), EntryStarted(MAC, "boinc"), 102).stalled(1000)
    assert fold(boot, EntryStarted(MAC, "previous"), 101).stalled(1000)


def test_a_program_after_the_script_is_no_loader() -> None:
    boot = fold(fold(NEW, ScriptServed(MAC), 100), TransferServed(MAC, "http", "memtest", 5, 0.1), 101)
    assert boot.stage is Stage.SCRIPT
    assert [transfer.path for transfer in boot.transfers] == ["memtest"]


def test_a_boot_keeps_what_its_loader_and_its_ramdisk_have_shown() -> None:
    before, asked = replay(NEW, WHOLE[:5]), replay(NEW, WHOLE[:6])
    assert (before.chose_us, before.ipxe_asked, asked.ipxe_asked) == (True, 0.0, 108.0)
    assert not replay(NEW, WHOLE[:2]).chose_us
    loaded = replay(NEW, WHOLE[:9])
    assert (loaded.ramdisk_spoke, fold(loaded, Reported(MAC, "initrd"), 130.0).ramdisk_spoke) == (0.0, 130.0)


def test_a_boot_after_one_that_came_to_nothing_knows_how_that_ended() -> None:
    first = replay(NEW, WHOLE[:5])
    once = returned(first, FIRMWARE, 107.5)
    assert once == Returned(MAC, 1, 100.0, "loader", "snponly.efi", 1.5)
    second = fold(replace(NEW, id=2, started=107.5, last_event=107.5), once, 107.5)
    assert returned(fold(second, FIRMWARE, 108.0), FIRMWARE, 200.0) == Returned(MAC, 2, 100.0, "discovered", "", 92.0)


@pytest.mark.parametrize(
    ("boot", "now"),
    [
        (replay(NEW, WHOLE), 300.0),
        (replay(NEW, WHOLE[:11]), 300.0),
        (fold(replay(NEW, WHOLE[:7]), EntryStarted(MAC, "local"), 112.0), 300.0),
        (replay(NEW, WHOLE[:5]), 106.0 + RETURNS_WITHIN),
    ],
    ids=["it computed", "userspace came up", "it started its disk", "that was long ago"],
)
def test_a_boot_that_was_well_or_is_long_ago_is_not_held_against_the_next(boot: Boot, now: float) -> None:
    assert returned(boot, FIRMWARE, now) is None
