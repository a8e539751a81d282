"""Each way in which a PC ends in silence, or in vain: what the box saw of it, and the cause and the cure it names."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from appliance.diagnosis.examination import diagnose
from appliance.diagnosis.fault import BoxTrouble, DueOff, Seen, grouped
from appliance.heartbeats.records import StoredHeartbeat
from services.boinc.condition import Condition, Doing
from services.decision import Reason
from services.events import (
    EntryStarted,
    GaveUp,
    LeaseChosen,
    Offered,
    Reported,
    ScriptServed,
    TransferFailed,
    TransferProgressed,
    TransferServed,
)
from tests.unit.appliance.diagnosis.stories import (
    IMAGE,
    MAC,
    SITE,
    Story,
    asks,
    autoexec,
    heard,
    kernel,
    loaded,
    power_on,
    refused,
    says,
    script,
    told,
    up,
)

SQUASHFS = f"{IMAGE}/live/filesystem.squashfs"


@dataclass(frozen=True)
class Planted:
    """What happened, what was seen beside it, when somebody looks; and what the diagnosis begins with, advises and
    adds."""

    story: Story
    now: float
    cause: str
    cure: str
    detail: str = ""
    seen: Seen = field(default_factory=Seen)


def failed(reason: str) -> Story:
    return (*loaded(), (200.0, Reported(MAC, "failed", {"reason": reason})))


def again(story: Story, times: int, every: float) -> Story:
    """The same `times` times, every so many seconds."""
    return tuple((at + number * every, event) for number in range(times) for at, event in story)


def fresh(*stories: Story) -> Story:
    """Power-ons whose firmware takes a new xid each time."""
    return tuple(event for story in stories for event in story)


FAULTS = {
    "no driver, no firmware or no memory": Planted(
        loaded(),
        400.0,
        "took kernel and initrd, and never came back: no driver or no firmware for its network card, or too little",
        "[image] backports = true",
    ),
    "the same, and the PC starts again each time": Planted(
        fresh(loaded(100.0), loaded(200.0), power_on(300.0)),
        305.0,
        "took kernel and initrd, and never came back",
        "[image] backports = true",
        "3 times in 3 min",
    ),
    "root refused by NFS": Planted(
        (*loaded(), (120.0, Reported(MAC, "initrd"))),
        400.0,
        "root refused by NFS: its ramdisk runs, and waits",
        "exports apply",
    ),
    "root refused by NFS, and the backend says why": Planted(
        (*loaded(), (120.0, Reported(MAC, "initrd"))),
        400.0,
        "root refused by NFS: the exports are not in force: NFS-Ganesha is not running",
        "exports apply",
        seen=Seen(box=BoxTrouble(exports="NFS-Ganesha is not running")),
    ),
    "Secure Boot refuses the unsigned loader": Planted(
        fresh(power_on(100.0), power_on(104.0), ((108.0, asks(xid=108)),)),
        109.0,
        "Security Violation: Secure Boot refuses the unsigned loader",
        "it is offered Debian's signed loader",
        "snponly.efi, 3 times in 1 min",
    ),
    "Secure Boot refuses the signed loader too": Planted(
        fresh(power_on(100.0, "shimx64.efi"), power_on(104.0, "shimx64.efi"), ((108.0, asks(xid=108)),)),
        109.0,
        "Security Violation: its firmware refuses the signed loader too",
        "3rd Party UEFI CA",
        "3 times in 1 min",
    ),
    "GRUB asks the site's DHCP server": Planted(
        (*power_on(100.0, "shimx64.efi"), (103.0, TransferServed(MAC, "tftp", "grubx64.efi", 3000, 1.0))),
        134.0,
        f"Secure Boot: GRUB asked {SITE}",
        "next-server",
    ),
    "GRUB asks another server, whose lease was not heard": Planted(
        ((100.0, asks()), (103.0, TransferServed(MAC, "tftp", "grubx64.efi", 3000, 1.0))),
        134.0,
        "Secure Boot: GRUB asked another server",
        'mode = "server"',
    ),
    "the kernel stops in snponly.efi": Planted(
        (
            *power_on(100.0),
            *script(104.0),
            (106.0, TransferProgressed(MAC, "http", f"{IMAGE}/vmlinuz", 0, 8_000_000)),
            (107.0, TransferProgressed(MAC, "http", f"{IMAGE}/vmlinuz", 94_000, 8_000_000)),
        ),
        170.0,
        "vmlinuz stopped on its way: the loader's network driver",
        'uefi_x64 = "ipxe.efi"',
        "after 94 kB of 8,000 kB",
    ),
    "the kernel stops in the iPXE of a card": Planted(
        (
            (100.0, asks(0, ipxe=True)),
            *script(104.0),
            (106.0, TransferProgressed(MAC, "http", f"{IMAGE}/vmlinuz", 0, 8_000_000)),
            (107.0, TransferProgressed(MAC, "http", f"{IMAGE}/vmlinuz", 126_000, 8_000_000)),
        ),
        170.0,
        "vmlinuz stopped on its way: the loader's network driver",
        "use another card",
        "after 126 kB of 8,000 kB",
    ),
    "the ramdisk stops in ipxe.efi": Planted(
        (
            *power_on(100.0, "ipxe.efi"),
            *script(104.0),
            *kernel(108.0),
            (109.0, TransferProgressed(MAC, "http", f"{IMAGE}/initrd.img", 0, 40_000_000)),
            (120.0, TransferFailed(MAC, "http", f"{IMAGE}/initrd.img", 5_000_000, "the connection was closed")),
        ),
        125.0,
        "initrd.img stopped on its way: the loader's network driver",
        'uefi_x64 = "snponly.efi"',
        "after 5,000 kB of 40,000 kB",
    ),
    "the microcode stops in ipxe.efi": Planted(
        (
            *power_on(100.0, "ipxe.efi"),
            *script(104.0),
            *kernel(108.0),
            (109.0, TransferProgressed(MAC, "http", f"{IMAGE}/microcode.img", 5_000_000, 7_000_000)),
        ),
        172.0,
        "microcode.img stopped on its way: the loader's network driver",
        'uefi_x64 = "snponly.efi"',
        "after 5,000 kB of 7,000 kB",
    ),
    "a dock with MAC pass-through": Planted(
        loaded(),
        150.0,
        "its live system uses another network card than its firmware: a dock or adapter with MAC pass-through",
        "pass-through off",
        "the card found is 02:66:00:00:00:01",
        Seen(refused=(refused(Reason.MAC_MISMATCH, 140.0, "02:66:00:00:00:01"),)),
    ),
    "spanning tree: iPXE is started and nothing is heard of it": Planted(
        power_on(100.0),
        300.0,
        "took the boot loader and asked for nothing more: iPXE got no address, or Secure Boot refuses it",
        "portfast",
    ),
    "spanning tree under BIOS, again and again": Planted(
        fresh(power_on(100.0, "undionly.kpxe", 0), power_on(160.0, "undionly.kpxe", 0), ((220.0, asks(0, xid=220)),)),
        221.0,
        "took the boot loader and asked for nothing more: iPXE got no address, or does not work with its",
        "portfast",
    ),
    "iPXE asks for an address, and no script is asked for": Planted(
        (*power_on(100.0), (104.0, asks(ipxe=True, xid=2))),
        300.0,
        "iPXE was started and did not ask for its script",
        "TCP port 80",
    ),
    "iPXE fetches its first script, and nothing is heard of it": Planted(
        (*power_on(100.0), (102.5, autoexec())),
        300.0,
        "iPXE was started and did not ask for its script",
        "portfast",
    ),
    "another boot server answered, or its ports are blocked": Planted(
        power_on(100.0)[:4],
        300.0,
        "was offered the boot loader, and did not take it: another boot server answered, or ports 4011 and 69",
        "doctor pcap",
    ),
    "it chose the box, and port 69 is blocked": Planted(
        (*power_on(100.0)[:4], (102.0, Offered(MAC, "525400aabbcc/snponly.efi", 4011))),
        300.0,
        "chose the box as its boot server, and did not load the boot loader: UDP port 69",
        "UDP port 69",
    ),
    "the site's DHCP server gives no address": Planted(
        power_on(100.0)[:2],
        300.0,
        "was offered the boot loader, and took no address",
        "pool",
    ),
    "the loader stops on its way": Planted(
        (*power_on(100.0)[:5], (101.5, TransferProgressed(MAC, "tftp", "snponly.efi", 1_000, 200_000))),
        170.0,
        "its boot loader stopped on its way",
        "MTU",
        "after 1 kB of 200 kB",
    ),
    "no image": Planted(
        ((100.0, asks()),),
        101.0,
        "asked, and got no offer: no image is active",
        "image build",
        seen=Seen(refused=(refused(Reason.NO_IMAGE, 100.1, service="dhcp"),)),
    ),
    "the image of its range was never built": Planted(
        ((100.0, asks()),),
        101.0,
        "asked, and got no offer: the image of its range has no active release",
        "image build lab",
        seen=Seen(refused=(refused(Reason.NO_IMAGE_OF_RANGE, 100.1, service="dhcp"),), image="lab"),
    ),
    "the menu waits for a person": Planted(
        (*power_on(100.0), *script(104.0)),
        200.0,
        "its menu waits for a person",
        "[menu] timeout = 0",
        seen=Seen(menu=10),
    ),
    "HTTP root with too little memory": Planted(
        failed("512 MB of usable memory; an HTTP root needs 900 MB: give this PC root=nfs"),
        201.0,
        "too little memory for an HTTP root",
        "--root nfs",
        "512 MB of usable memory; an HTTP root needs 900 MB: give this PC root=nfs",
    ),
    "HTTP root, and the memory ends while it unpacks": Planted(
        (*loaded(root="http"), (120.0, TransferServed(MAC, "http", SQUASHFS, 138_000_000, 5.0))),
        400.0,
        "took the whole live system and did not start it: too little memory",
        "--root nfs",
    ),
    "the live system stops on its way": Planted(
        (*loaded(root="http"), (120.0, TransferProgressed(MAC, "http", SQUASHFS, 5_000_000, 138_000_000))),
        400.0,
        "the live system stopped on its way to the PC",
        "cable",
        "after 5,000 kB of 138,000 kB",
    ),
    "the live system could not be fetched": Planted(
        failed("the live system could not be fetched: nothing arrived for two minutes"),
        201.0,
        "the live system could not be fetched",
        "cable",
        "the live system could not be fetched: nothing arrived for two minutes",
    ),
    "the state directory is refused": Planted(
        failed("state directory refused: mount.nfs4: access denied by server while mounting"),
        201.0,
        "its state directory is refused by NFS",
        "exports apply",
        "state directory refused: mount.nfs4: access denied by server while mounting",
    ),
    "the state directory is full": Planted(
        failed("state directory: No space left on device"),
        201.0,
        "its state directory is full",
        "state_limit",
        "state directory: No space left on device",
    ),
    "the server's disk is full": Planted(
        failed("state directory: No space left on device"),
        201.0,
        "its state directory is full: the disk is full",
        "image prune",
        "state directory: No space left on device",
        Seen(box=BoxTrouble(disk="the disk is full")),
    ),
    "the state directory is read-only": Planted(
        failed("state directory: Read-only file system"),
        201.0,
        "its state directory is read-only",
        "journalctl -k",
        "state directory: Read-only file system",
    ),
    "the BOINC files are refused": Planted(
        failed("the BOINC files could not be fetched"),
        201.0,
        "it does not get its BOINC files",
        "restart the PC",
        "the BOINC files could not be fetched",
    ),
    "its network card is missing": Planted(
        failed("The network card 01-52-54-00-aa-bb-cc did not appear"),
        201.0,
        "no driver or no firmware for its network card",
        "[image] backports = true",
        "The network card 01-52-54-00-aa-bb-cc did not appear",
    ),
    "a failure that nobody knows": Planted(
        failed("the unit plymouth.service failed"),
        201.0,
        "its live system reports a failure",
        "screen",
        "the unit plymouth.service failed",
    ),
    "the token is refused": Planted(
        loaded(),
        150.0,
        "its live system shows a token that is not, or no longer, that of its latest boot",
        "restart the PC",
        seen=Seen(refused=(refused(Reason.TOKEN_INVALID, 140.0),)),
    ),
    "its network is not served": Planted(
        loaded(),
        400.0,
        "its address is in none of the networks that the box serves",
        "[nfs] networks",
        seen=Seen(refused=(refused(Reason.OUTSIDE_NETWORKS, 140.0),)),
    ),
    "another machine uses its address": Planted(
        (*up()[:-1],),
        400.0,
        "another machine uses its address",
        "switch",
        "02:66:00:00:00:01 claims 10.0.0.5",
        Seen(claims=("02:66:00:00:00:01 claims 10.0.0.5",)),
    ),
    "it restarts again and again": Planted(
        fresh(
            *(((100.0 + 60 * n, asks(xid=n)), *power_on(100.5 + 60 * n)[1:], *script(104.0 + 60 * n)) for n in range(5))
        ),
        350.0,
        "restarts again and again, and its live system never comes up",
        "--default local",
        "5 times in 4 min, the last after script",
    ),
    "five boots in vain": Planted(
        (*power_on(100.0), *script(104.0), (105.0, GaveUp(MAC, 5)), (105.0, EntryStarted(MAC, "local"))),
        110.0,
        "its live system did not come up in several boots in a row, so it was sent to its own disk",
        "--default local",
        "the live system did not come up in 5 boots in a row: this one starts the PC's own disk",
    ),
    "nothing after the script": Planted(
        (*power_on(100.0), *script(104.0)), 300.0, "took its boot script and did not ask for the kernel", "screen"
    ),
    "nothing after the root": Planted(
        up()[:-1], 400.0, "mounted its root, and its live system never came up", "memory"
    ),
    "an old live system whose BOINC is not attached": Planted(
        up(), 400.0, "its live system is up, but BOINC is not attached to the project", "key"
    ),
    "an old live system without a task": Planted(
        (*up(), (170.0, Reported(MAC, "attached"))), 400.0, "BOINC is attached, but no task has begun", "work"
    ),
}

COMPUTED = (*up(), (170.0, Reported(MAC, "computing")))
NOW = 5000.0
BORROWED = "No card has the MAC address x: found y (r8152). eth0 takes it."


def beats(heartbeat: StoredHeartbeat, cause: str, cure: str, detail: str = "", **seen: Any) -> Planted:
    return Planted(COMPUTED, NOW, cause, cure, detail, Seen(heartbeat=heartbeat, **seen))


FAULTS |= {
    "switched off, or its cable": beats(
        heard(NOW - 600), "sends no heartbeat any more: switched off, no power, no cable", "cable", "silent for 10 min"
    ),
    "its window has ended": beats(
        heard(NOW - 10, says(tasks=1)),
        "still computes, though its window has ended",
        "order MAC off",
        "overdue by 15 min",
        due_off=DueOff(NOW - 900, by_order=False),
    ),
    "an order told it to go": beats(
        heard(NOW - 10, says(doing=Doing.SUSPENDED, suspended="user request")),
        "has not gone, though an order told it to",
        "order MAC off",
        "overdue by 60 s",
        due_off=DueOff(NOW - 60, by_order=True),
    ),
    "BOINC does not run": beats(
        heard(NOW - 10, Condition(), boinc="stopped"), "BOINC does not run, or does not answer", "reboot", "stopped"
    ),
    "its state directory fills up": beats(
        heard(NOW - 10, state_directory="full"), "its state directory is full", "state_limit"
    ),
    "its state directory fills up with the server's disk": beats(
        heard(NOW - 10, state_directory="full"),
        "its state directory is full: the disk is full",
        "image prune",
        box=BoxTrouble(disk="the disk is full"),
    ),
    "its state directory becomes read-only": beats(
        heard(NOW - 10, state_directory="read-only"), "its state directory is read-only", "journalctl -k"
    ),
    "its state directory stalls": beats(
        heard(NOW - 10, state_directory="stalled"), "its state directory is stalled", "NFS server does not answer"
    ),
    "its clock is a year ahead": beats(
        heard(NOW - 10, clock=str(NOW + 366 * 86400)), "its clock is wrong", "[dhcp] ntp", "ahead by 366 d"
    ),
    "its clock is an hour behind": beats(
        heard(NOW - 10, clock=str(NOW - 10 - 7200)), "its clock is wrong", "[dhcp] ntp", "behind by 2 h"
    ),
    "the project refuses the key": beats(
        heard(NOW - 10, says("Scheduler request completed: got 0 new tasks", "Bad authenticator")),
        "the project refuses the account key",
        "current weak key",
    ),
    "the project refuses the key, while a task is under way": beats(
        heard(NOW - 10, says("Invalid or missing account key. To fix, log in", tasks=1)),
        "the project refuses the account key",
        "current weak key",
    ),
    "the project's name is not known": beats(
        heard(NOW - 10, says("Scheduler request failed: Couldn't resolve host name")),
        "the project is not reachable",
        "config check --online",
    ),
    "the project's page cannot be fetched, and BOINC waits": beats(
        heard(NOW - 10, says(projects=(replace(says().projects[0], master_failures=3, next_contact=NOW + 3600),))),
        "the project is not reachable",
        "config check --online",
        "BOINC asks again in 60 min",
    ),
    "no way to the Internet": beats(
        heard(NOW - 10, says("BOINC can't access Internet - check network connection or proxy configuration.")),
        "BOINC cannot reach the Internet",
        "[boinc] proxy",
    ),
    "the project has no work": beats(
        heard(NOW - 10, says("Scheduler request completed: got 0 new tasks", "No tasks sent")),
        "BOINC has nothing to compute: the project has no work",
        "backup = true",
    ),
    "the project has nothing for this kind of PC": beats(
        heard(NOW - 10, says("Fake is not available for your type of computer.")),
        "BOINC has nothing to compute: the project has nothing for this kind of PC",
        "[[projects]]",
    ),
    "no project": beats(
        heard(NOW - 10, says(projects=())), "BOINC has nothing to compute: no project is attached", "[project]"
    ),
    "idle, and nobody says why": beats(
        heard(NOW - 10, says()), "BOINC has nothing to compute, and does not say why", "config check --online"
    ),
    "a hook failed, though it computes": beats(
        heard(NOW - 10, says(tasks=1), setup="hook 10-scratch ended with 3"),
        "a hook failed when it started",
        "live show MAC",
        "hook 10-scratch ended with 3",
    ),
    "its files did not come": beats(
        heard(NOW - 10, says(tasks=1), setup="the server sent no files for this computer: 403"),
        "it started without its files from the server",
        "order MAC reboot",
        "the server sent no files for this computer: 403",
    ),
    "a hook failed, and its clock is wrong": beats(
        heard(NOW - 10, clock=str(NOW - 10 - 7200), setup="hook 10-scratch ended with 3"),
        "its clock is wrong",
        "ntp",
        "behind by 2 h",
    ),
    "no room for tasks": beats(
        heard(NOW - 10, says(doing=Doing.SUSPENDED, suspended="need disk space - check preferences")),
        "BOINC is suspended: need disk space",
        "state_limit",
    ),
    "BOINC's files refused after the userspace came up": Planted(
        (*up(), (170.0, Reported(MAC, "failed", {"reason": "the BOINC files could not be fetched"}))),
        NOW,
        "it does not get its BOINC files",
        "restart the PC",
        "the BOINC files could not be fetched",
        Seen(heartbeat=heard(NOW - 10, Condition(), boinc="stopped")),
    ),
    "a dock whose card takes the firmware's address, and nothing after it": Planted(
        (
            *loaded(),
            (
                120.0,
                Reported(MAC, "initrd", {"reason": "No card has the MAC address x: found y (r8152). eth0 takes it."}),
            ),
        ),
        400.0,
        "its live system uses another network card than its firmware: a dock",
        "pass-through off",
        BORROWED,
    ),
}


@pytest.mark.parametrize("planted", FAULTS.values(), ids=FAULTS.keys())
def test_a_planted_fault_has_its_cause_and_its_cure(planted: Planted) -> None:
    found = diagnose(told(planted.story), planted.now, planted.seen)
    assert found is not None
    assert found.cause.startswith(planted.cause)
    assert planted.cure in found.cure
    assert found.detail == planted.detail
    assert found.failing


def test_the_table_in_the_documentation_says_what_is_said() -> None:
    table = (Path(__file__).parents[4] / "docs" / "operations.md").read_text()
    for name, planted in FAULTS.items():
        found = diagnose(told(planted.story), planted.now, planted.seen)
        assert found
        assert f"| {found.cause} | {found.cure} |" in table, name


WELL = {
    "a boot under way": (loaded(), 120.0),
    "a quick reset after the loader": (fresh(power_on(100.0), power_on(104.0)), 110.0),
    "GRUB that is loading": ((*power_on(100.0, "shimx64.efi"), *power_on(100.0, "grubx64.efi")[4:5]), 104.0),
    "GRUB with a lease of ours": (
        (
            *power_on(100.0, "shimx64.efi"),
            (103.0, LeaseChosen(MAC, SITE, ours=True)),
            (103.0, TransferServed(MAC, "tftp", "grubx64.efi", 3000, 1.0)),
        ),
        140.0,
    ),
    "GRUB that has asked us": (
        (
            *power_on(100.0, "shimx64.efi"),
            (103.0, TransferServed(MAC, "tftp", "grubx64.efi", 3000, 1.0)),
            (104.0, ScriptServed(MAC)),
        ),
        140.0,
    ),
    "a computing PC": ((*up(), (170.0, Reported(MAC, "computing"))), 100_000.0),
    "switched off at its button": ((*up(), (170.0, Reported(MAC, "off"))), 100_000.0),
    "its own disk": ((*power_on(100.0), *script(104.0), (106.0, EntryStarted(MAC, "local"))), 10_000.0),
    "a menu that counts down": ((*power_on(100.0), *script(104.0)), 150.0),
    "it came further than the times before": (fresh(power_on(100.0), power_on(104.0), loaded(108.0)), 125.0),
}


@pytest.mark.parametrize(("story", "now"), WELL.values(), ids=WELL.keys())
def test_a_pc_that_is_well_has_no_diagnosis(story: Story, now: float) -> None:
    assert diagnose(told(story), now, Seen(menu=60)) is None


@pytest.mark.parametrize(
    "heartbeat",
    [
        heard(NOW - 170),
        heard(NOW - 10, Condition(), uptime="60", boinc="starting"),
        heard(NOW - 10, says(), uptime="60"),
        heard(NOW - 10, says("No tasks sent", since=NOW - 300)),
        heard(NOW - 10, says("Bad authenticator", "Scheduler request completed: got 2 new tasks", tasks=2)),
        heard(NOW - 10, clock=str(NOW + 200)),
        heard(NOW - 10, clock="soon", uptime="long"),
    ],
    ids=["computing", "starting", "attaching", "between two tasks", "its key works again", "its clock", "no numbers"],
)
def test_a_pc_whose_heartbeat_is_well_has_no_diagnosis(heartbeat: StoredHeartbeat) -> None:
    assert diagnose(told(COMPUTED), NOW, Seen(heartbeat=heartbeat)) is None


def test_what_the_preferences_or_an_order_say_is_no_failure() -> None:
    night = says(doing=Doing.SUSPENDED, suspended="time of day")
    found = diagnose(told(COMPUTED), NOW, Seen(heartbeat=heard(NOW - 10, night)))
    assert found
    assert (found.cause, found.failing) == ("BOINC is suspended: time of day", False)
    assert diagnose(told(COMPUTED), NOW, Seen(heartbeat=heard(NOW - 600), off=True)) is None


def test_a_pc_that_computes_again_after_a_failure_is_well() -> None:
    boot = told((*COMPUTED, (180.0, Reported(MAC, "failed", {"reason": "the unit x failed"}))))
    assert diagnose(boot, NOW, Seen(heartbeat=heard(NOW - 10, says(tasks=1)))) is None


def test_a_heartbeat_of_another_boot_or_of_another_version_says_nothing_of_boinc() -> None:
    earlier = replace(heard(NOW - 10), boot=7)
    found = diagnose(told(loaded()), 400.0, Seen(heartbeat=earlier))
    assert found
    assert found.cause.startswith("took kernel and initrd")
    unread = diagnose(told(COMPUTED), NOW, Seen(heartbeat=replace(heard(NOW - 10), boinc="{}")))
    assert unread
    assert unread.cause == "BOINC does not run, or does not answer"


def test_what_was_refused_to_an_earlier_boot_says_nothing() -> None:
    seen = Seen(refused=(refused(Reason.TOKEN_INVALID, 90.0), refused(Reason.MAC_MISMATCH, 90.0, "02:66:00:00:00:01")))
    assert diagnose(told(loaded()), 120.0, seen) is None


def test_a_room_with_one_fault_is_one_group() -> None:
    stopped = (
        *power_on(100.0),
        *script(104.0),
        (106.0, TransferProgressed(MAC, "http", f"{IMAGE}/vmlinuz", 94_000, 8_000_000)),
    )
    one, other = diagnose(told(stopped), 200.0), diagnose(told(loaded()), 400.0)
    assert one
    assert other
    groups = grouped([("A", other), ("B", one), ("C", one), ("D", one)])
    assert [(group.cause, group.named(2)) for group in groups] == [
        (one.cause, "B (after 94 kB of 8,000 kB), C (after 94 kB of 8,000 kB) and 1 more"),
        (other.cause, "A"),
    ]
