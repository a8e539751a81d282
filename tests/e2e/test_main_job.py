"""The main job, end to end, as one story: each test continues where the previous one left the room.

An allowed UEFI PC boots and computes; strangers get nothing; one of them is allowed while the box serves; the first
PC's power is cut in the middle of a task, it gets orders and a new account key, its owner takes it back by a key, it is
woken and resumes its task, and at last its time to compute ends, while the other one falls silent and a third finds no
NFS. The administrator has the page open all the time, and does there what the page offers. Meanwhile one release takes
another one's place, and a broken one is tried by one PC and taken back. The PCs overlap, since an emulated one needs a
minute or two to boot.
"""

import email
import email.policy
import errno
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from image import release
from services.boinc.idleness import KEY_REFUSED
from services.decision import Reason
from services.ethernet import MacAddress
from services.wake_on_lan import PORT, magic_packet
from tests.e2e.hardware import OTHER_CARD, ahci_disk, boot_code
from tests.e2e.rooms import assert_ramdisks, furnished_room
from tests.e2e.wire import frames
from tests.fakes import boinc_control
from tests.fakes.boinc_project import ACCOUNT_KEY, read_status
from tests.netns.scripted_pc import FrameListener
from tests.room.live_image import CUSTOMIZED
from tests.room.namespaces import Namespace
from tests.room.nfs import nfs_list
from tests.room.page import RoomPage, open_page
from tests.room.pc import Pc
from tests.room.processes import wait_until
from tests.room.room import BOX, CHECKOUT, MANAGEMENT, SITE, Capture, Room, host_mac
from tests.room.tasks import reported, results, the_host, unfinished

FIRST = MacAddress.parse("52:54:00:aa:bb:cc")
SECOND = MacAddress.parse("52:54:00:dd:ee:ff")
THIRD = MacAddress.parse("52:54:00:11:22:33")
STRANGER = MacAddress.parse("52:54:00:00:00:99")
JOB_SECONDS = 25
NEW_KEY = "1_ffeeddccbbaa99887766554433221100"
BOOT_SECONDS = 900
ORDER_SECONDS = 480
"""A PC fetches an order with its next heartbeat, and tells what came of it with the one after that."""
MIB = 1 << 20
FROM_KEY_TO_RESET = 20
"""Seconds."""
RESPITE = 10
OWNED = f"""
[schedules.always]
windows = ["Mon-Sun"]
respite = {RESPITE}
"""
OWN_DISK = "the office starts from its own disk"
MAIL = f"""
[notify]
addresses = ["administrator@example.org"]

[notify.mail]
host = "{MANAGEMENT}"
encryption = "none"
"""
BLOCKED = """
table inet blocked {{
    chain input {{
        type filter hook input priority -300;
        ether saddr {mac} tcp dport {{ 111, 2049 }} drop
        ether saddr {mac} udp dport {{ 111, 2049 }} drop
    }}
}}
"""
DISCOVER, OFFER = 1, 2
ATTACKS = {
    **dict.fromkeys(("box_http", "box_nfs", "neighbour"), errno.EHOSTUNREACH),
    # Configured by its address.
    "project": 0,
    # The directory that holds it is root's.
    "token_file": errno.EACCES,
    **dict.fromkeys(("foreign_processes", "special_files", "capabilities"), 0),
    "no_new_privileges": 1,
    **dict.fromkeys(("packet_socket", "crypto_socket", "vsock"), errno.EAFNOSUPPORT),
    **dict.fromkeys(("user_namespace", "network_namespace", "mount", "bpf", "io_uring", "keyring"), errno.EPERM),
    **dict.fromkeys(("module", "kernel_log", "socketcall_32", "set_user_id"), errno.EPERM),
    **dict.fromkeys(("sysctl", "cgroup"), errno.EROFS),
}
"""What tests/fakes/boinc_attacks.py says of each attempt in a PC that holds it."""
OWN = (
    "own_processor",
    "own_temporary_files",
    "own_program_32",
    "own_program_64",
    "own_threads",
    "own_made_code",
    "own_idle_priority",
    "own_affinity",
)
"""What honest applications do, and may."""


@pytest.fixture(scope="module")
def room() -> Iterator[Room]:
    """A room in which the project and the box run."""
    with furnished_room("main-job", job_seconds=JOB_SECONDS, settings=MAIL + OWNED, page=True) as room:
        room.start_project(attacks=True)
        room.start_box()
        yield room


@pytest.fixture(scope="module")
def page(room: Room) -> Iterator[RoomPage]:
    """The administrator's page, open from the beginning."""
    with open_page(room) as page:
        yield page


@pytest.fixture(scope="module")
def mails(room: Room, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The administrator's mailbox: a directory with a file for each mail."""
    mailbox = tmp_path_factory.mktemp("mail") / "box"
    command = [sys.executable, "-m", "aiosmtpd", "-n", "-l", f"{MANAGEMENT}:25", "-c", "aiosmtpd.handlers.Mailbox"]
    room.management.start("the mail server", [*command, str(mailbox)], room.logs / "mail.log")
    return mailbox / "new"


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An office PC's disk: a GPT with an ext4 file system and a swap partition, and code for a BIOS."""
    folder = tmp_path_factory.mktemp("disk")
    disk, system, swap = folder / "disk", folder / "system", folder / "swap"
    for path, size in ((disk, 64 * MIB), (system, 30 * MIB), (swap, 30 * MIB)):
        with path.open("wb") as file:
            file.truncate(size)
    layout = "label: gpt\nstart=1MiB, size=30MiB, type=linux\nstart=32MiB, size=30MiB, type=swap\n"
    subprocess.run(["sfdisk", "--quiet", disk], input=layout, text=True, check=True)
    subprocess.run(["mkfs.ext4", "-q", "-L", "windows", system], check=True)
    subprocess.run(["mkswap", "--quiet", swap], check=True, capture_output=True)
    with disk.open("r+b") as file:
        file.write(boot_code(OWN_DISK))
        for path, offset in ((system, MIB), (swap, 32 * MIB)):
            file.seek(offset)
            file.write(path.read_bytes())
    return disk


@pytest.fixture(scope="module")
def disk_before(disk: Path) -> str:
    return sha256(disk)


@pytest.fixture(scope="module")
def first(room: Room, page: RoomPage, disk: Path, disk_before: str) -> Pc:
    """The allowed UEFI PC, with a disk and two cards, of which it boots from the second; on from the beginning."""
    assert "No PC has booted yet" in page.text()
    room.appliance("allow", "add", str(FIRST), "--label", "the first", "--schedule", "always")
    pc = room.pc(FIRST, "uefi", extra=(*ahci_disk(disk), *OTHER_CARD))
    pc.power_on()
    return pc


@pytest.fixture(scope="module")
def second(room: Room) -> Pc:
    """The BIOS PC, a stranger at first; off."""
    return room.pc(SECOND, "bios", card="e1000e")


@pytest.fixture(scope="module")
def third(room: Room) -> Pc:
    """A PC whose way to the NFS server is blocked; off."""
    return room.pc(THIRD, "uefi", memory=512)


@dataclass(frozen=True)
class Releases:
    """The release that was built, another one with the same files, and one whose live system cannot be mounted."""

    built: str
    same: str
    broken: str


@pytest.fixture(scope="module")
def releases(room: Room) -> Releases:
    images = room.data / "images"
    built = release.current(images)
    assert built
    made = []
    for digest in ("0" * 8, "f" * 8):
        copy = replace(built, path=images / release.name(built.created, digest), digest=digest * 8)
        shutil.copytree(built.path, copy.path, symlinks=True, copy_function=os.link)
        made.append(copy)
    broken = made[1].path / release.SQUASHFS
    size = broken.stat().st_size
    broken.unlink()
    with broken.open("wb") as file:
        file.truncate(size)
    made[1] = replace(made[1], files={**built.files, release.SQUASHFS: release.describe(broken)})
    for copy in made:
        (copy.path / release.MANIFEST).unlink()
        (copy.path / release.MANIFEST).write_bytes(release.render_manifest(copy))
        refused = room.appliance("image", "activate", copy.id, check=False)
        assert "signed by no key that is trusted here, or changed since" in refused.stderr
        room.appliance("image", "sign", copy.id)
    return Releases(built.id, made[0].id, made[1].id)


@pytest.fixture(scope="module")
def server_process(room: Room, first: Pc) -> int:
    """The process id of the box's server at the start."""
    pid: int = room.status()["server"]["pid"]
    return pid


@pytest.fixture(scope="module")
def interrupted() -> list[str]:
    """The task that the power cut interrupts, once it has."""
    return []


@dataclass
class TakenBack:
    """The task that ran when its owner took the PC back, how far its checkpoint was afterwards, and when that was."""

    task: str = ""
    saved: int = 0
    at: float = 0.0


@pytest.fixture(scope="module")
def taken_back() -> TakenBack:
    return TakenBack()


@pytest.fixture
def manager_password(room: Room) -> str:
    """The GUI RPC password of the first PC."""
    return str(details(room, FIRST)["gui_rpc_password"])


# The story


@pytest.mark.usefixtures("first", "server_process", "mails")
def test_strangers_get_no_offer_and_no_byte_while_the_sites_dhcp_serves_them(room: Room, second: Pc) -> None:
    stranger = room.pc(STRANGER, "uefi", memory=256)
    recordings = {pc: room.capture(pc) for pc in (second, stranger)}
    for pc in recordings:
        pc.power_on()
    second.wait_for("No more network devices", BOOT_SECONDS)
    assert room.leased(SECOND) is not None
    stranger.wait_for("PXE-E16", BOOT_SECONDS)
    for pc, recording in recordings.items():
        pc.power_off()
        assert_untouched_by_the_box(pc.mac, recording)
    exports = room.appliance("exports", "show").stdout
    refused = {row["client"]: row["reason"] for row in room.status()["ignored"]}
    for mac in (SECOND, STRANGER):
        assert refused[str(mac)] == Reason.NOT_ALLOWED
        assert not room.state(mac).exists()
        assert mac.bare not in exports
    assert str(room.leased(SECOND)) not in exports


def test_a_refused_pc_is_allowed_on_the_page_and_boots_without_a_restart(
    room: Room, page: RoomPage, second: Pc, server_process: int
) -> None:
    page.allow(SECOND, "the second")
    second.power_on()
    room.wait_for_stage(SECOND, "script", BOOT_SECONDS)
    assert room.status()["server"]["pid"] == server_process


def test_the_first_pc_computes_and_reports_a_task(room: Room, page: RoomPage, first: Pc) -> None:
    room.wait_until(lambda: reported(room, FIRST) != [], BOOT_SECONDS, "the first PC to report a task")
    task = reported(room, FIRST)[0]
    assert task.output.items() >= {"total": JOB_SECONDS, "starts": 1, "resumed_from": 0}.items()
    host = the_host(room, FIRST)
    room.wait_for_stage(FIRST, "computing", 180)
    boot = room.boot(FIRST)
    assert boot["host_id"] == str(host.id)
    assert room.stages(FIRST) == [
        *("discovered", "offered", "loader", "script", "kernel", "initrd"),
        *("root mounted", "reported", "attached", "computing"),
    ]
    # BOINC merges PCs into one host when these two are equal.
    assert host.domain_name == f"boinc-{FIRST.bare}"
    assert host.ip == str(room.leased(FIRST))
    assert host.ip in boot["addresses"]
    # The page was never loaded again.
    room.wait_until(lambda: page.said(FIRST)[-1].startswith("computing"), 180, "the page to say that it computes")
    said = " | ".join(page.said(FIRST))
    assert re.search(r"booting: (discovered|offered).*initrd.*root mounted.*reported.*computing \d task", said), said
    assert_ramdisks(room, first)
    assert CUSTOMIZED in first.text()


@pytest.mark.usefixtures("first")
def test_the_science_application_got_nowhere_and_old_kinds_of_programs_ran(room: Room) -> None:
    said = reported(room, FIRST)[0].output
    assert {name: number for name, number in said.items() if name in ATTACKS} == ATTACKS
    own = {name: number for name, number in said.items() if name.startswith("own_")}
    assert own == dict.fromkeys(OWN, 0)


@pytest.mark.usefixtures("first")
def test_boinc_manager_reads_the_tasks_from_the_management_host_only(room: Room, manager_password: str) -> None:
    shown: list[str] = []

    def reads() -> bool:
        tasks = [task.name for task in unfinished(room, FIRST)]
        allowed = boinccmd(room, room.management, manager_password)
        shown[:] = [task for task in tasks if allowed.returncode == 0 and task in allowed.stdout]
        return bool(shown)

    room.wait_until(reads, 180, "the manager to read the task under way")
    for answer in (boinccmd(room, room.other, manager_password), boinccmd(room, room.management, "wrong")):
        assert answer.returncode != 0
        assert "name:" not in answer.stdout
        assert shown[0] not in answer.stdout


@pytest.mark.usefixtures("first")
def test_the_box_hears_the_pc_and_shows_its_task(room: Room) -> None:
    def shown() -> bool:
        tasks = [task["name"] for task in details(room, FIRST)["boinc"]["tasks"]]
        return any(task.name in tasks for task in results(room, FIRST))

    room.wait_until(shown, ORDER_SECONDS, "the task under way in `clients show`")
    room.wait_until(lambda: doing(room, FIRST) == "computing", ORDER_SECONDS, "the first PC to compute, as status says")
    heard = details(room, FIRST)
    assert (heard["facts"]["boinc"], heard["facts"]["state_directory"]) == ("running", "ok")
    assert time.time() - heard["heard"] < 180


@pytest.mark.usefixtures("first")
def test_an_order_suspends_a_pc_and_another_lets_it_go_on(room: Room, page: RoomPage) -> None:
    page.order(FIRST, "Suspend")
    room.wait_until(lambda: doing(room, FIRST) == "suspended", ORDER_SECONDS, "the first PC to be suspended by order")
    room.wait_until(lambda: page.said(FIRST)[-1].startswith("suspended"), 10, "the page to say so")
    room.appliance("order", str(FIRST), "resume")
    room.wait_until(lambda: doing(room, FIRST) == "computing", ORDER_SECONDS, "the first PC to go on by order")
    orders = {order["verb"]: order["result"] for order in details(room, FIRST)["orders"]}
    assert orders["suspend"] == "done"


def test_another_release_is_activated_while_a_pc_runs_and_it_computes_on(
    room: Room, first: Pc, releases: Releases
) -> None:
    before = len(reported(room, FIRST))
    room.appliance("image", "activate", releases.same)
    room.wait_until(lambda: len(reported(room, FIRST)) > before, BOOT_SECONDS, "the first PC to report another task")
    assert room.boot(FIRST)["release"] == releases.built
    assert len(first.serial_logs) == 1


def test_a_power_cut_in_the_middle_of_a_task(room: Room, first: Pc, interrupted: list[str]) -> None:
    room.wait_until(
        lambda: 3 <= checkpoint(room, FIRST) <= JOB_SECONDS // 2, BOOT_SECONDS, "a task of the first PC under way"
    )
    first.power_off()
    (task,) = unfinished(room, FIRST)
    interrupted.append(task.name)
    tell_another_boot(room)
    first.power_on()


@pytest.mark.usefixtures("second")
def test_the_second_pc_is_another_host_with_a_directory_of_its_own(room: Room) -> None:
    room.wait_until(lambda: reported(room, SECOND) != [], BOOT_SECONDS, "the second PC to report a task")
    assert the_host(room, SECOND).id != the_host(room, FIRST).id
    assert room.state(SECOND) != room.state(FIRST)
    for mac in (FIRST, SECOND):
        assert (room.state(mac) / "client_state.xml").exists()
        for secret in ("gui_rpc_auth.cfg", "account_10.77.0.3_fake.xml"):
            assert (room.state(mac) / secret).stat().st_mode & 0o777 == 0o600
    passwords = {(room.state(mac) / "gui_rpc_auth.cfg").read_text().strip() for mac in (FIRST, SECOND)}
    assert len(passwords) == 2


@pytest.mark.usefixtures("second")
def test_a_renewed_lease_breaks_neither_root_nor_work(room: Room) -> None:
    room.wait_until(lambda: room.renewals(SECOND) > 0, BOOT_SECONDS, "the second PC to renew its lease")
    before = len(reported(room, SECOND))
    room.wait_until(lambda: len(reported(room, SECOND)) > before, BOOT_SECONDS, "the second PC to report another task")


def test_the_second_pc_is_switched_off_and_nobody_knows_yet(room: Room, second: Pc) -> None:
    room.wait_until(lambda: doing(room, SECOND) == "computing", ORDER_SECONDS, "the second PC to compute")
    second.power_off()
    assert doing(room, SECOND) == "computing"


def test_a_third_pc_is_switched_on_whose_way_to_the_nfs_server_is_blocked(room: Room, third: Pc) -> None:
    room.box.run(["sh", "-c", 'printf %s "$0" | nft -f -', BLOCKED.format(mac=THIRD)])
    room.appliance("allow", "add", str(THIRD), "--label", "the third")
    third.power_on()


def test_after_the_power_cut_the_same_host_resumes_its_task(
    room: Room, first: Pc, interrupted: list[str], releases: Releases
) -> None:
    (name,) = interrupted

    def is_reported() -> bool:
        return name in [task.name for task in reported(room, FIRST)]

    room.wait_until(is_reported, BOOT_SECONDS, "the first PC to report the task that the power cut interrupted")
    (resumed,) = (task for task in reported(room, FIRST) if task.name == name)
    # Its next boot has the release that was activated meanwhile; after the rollback it keeps that one.
    assert room.boot(FIRST)["release"] == releases.same
    room.appliance("image", "rollback")
    assert resumed.output["starts"] >= 2
    assert resumed.output["resumed_from"] >= 3
    assert len(first.serial_logs) == 2
    # What was changed before it, without an image: name, zone, a file and a hook.
    assert f"renamed-{FIRST.bare}: hook 10-look: IST, words of an overlay" in first.text()
    assert f"renamed-{FIRST.bare}: hook 20-fails ended with 3" in first.text()
    told = "hook 20-fails ended with 3"
    room.wait_until(lambda: details(room, FIRST)["facts"].get("setup") == told, 120, "the PC to tell what failed")
    # Neither a new host, nor one whose tasks were considered lost.
    status = read_status(room.project_directory)
    assert len(status.hosts) == 2
    assert {result.state for result in status.results.values()} <= {"sent", "uploaded", "reported"}


@pytest.mark.usefixtures("second")
def test_a_pc_that_was_switched_off_is_silent_after_three_minutes(room: Room, page: RoomPage) -> None:
    heard = room.boot(SECOND)["now"]["heard"]
    left = heard + 180 + 60 - time.time()
    room.wait_until(lambda: doing(room, SECOND) == "silent", left, "the second PC to be called silent")
    assert time.time() - heard >= 180
    assert room.boot(SECOND)["now"]["heard"] == heard
    assert "silent" in room.appliance("status").stdout
    room.wait_until(lambda: page.said(SECOND)[-1].startswith("silent"), 10, "the page to say so")


def test_page_mail_and_status_name_the_pc_without_nfs_with_cause_and_cure(
    room: Room, page: RoomPage, third: Pc, mails: Path
) -> None:
    def stalled() -> bool:
        return doing(room, THIRD) == "stalled"

    room.wait_until(stalled, BOOT_SECONDS, "the third PC to be called stalled")
    diagnosis = room.boot(THIRD)["diagnosis"]
    assert diagnosis["cause"].startswith("root refused by NFS")
    status = flat(room.appliance("status").stdout)
    assert diagnosis["cause"] in status
    assert diagnosis["cure"] in status
    wanted = (diagnosis["cause"], diagnosis["cure"], "the third")
    room.wait_until(lambda: all(words in flat(page.text()) for words in wanted), 10, "the page to say so")
    room.wait_until(lambda: any(all(words in mail for words in wanted) for mail in read(mails)), 120, "a mail of it")
    page.photograph(room.logs / "page.png")
    third.power_off()


def test_a_broken_release_is_tried_by_one_pc_only(room: Room, second: Pc, releases: Releases) -> None:
    room.appliance("image", "activate", releases.broken, "--canary", str(SECOND))
    second.power_on(may_go_off=True)


def test_a_key_that_the_project_refuses_is_told_and_a_new_one_reaches_the_running_pc(room: Room, first: Pc) -> None:
    host = the_host(room, FIRST)
    boinc_control.change(room.project_directory, account_key=NEW_KEY)
    changed = time.time()
    room.wait_until(
        lambda: KEY_REFUSED in room.appliance("status").stdout, ORDER_SECONDS, "status to say that the key is refused"
    )
    room.configuration.write_text(room.configuration.read_text().replace(ACCOUNT_KEY, NEW_KEY))
    room.appliance("reload")
    room.wait_until(
        lambda: any(task.sent > changed for task in results(room, FIRST)), BOOT_SECONDS, "a task for the new key"
    )
    assert the_host(room, FIRST).id == host.id
    assert len(first.serial_logs) == 2
    assert {task.state for task in results(room, FIRST)} <= {"sent", "uploaded", "reported"}


def test_a_key_saves_the_work_and_restarts_the_pc_within_20_seconds(
    room: Room, first: Pc, taken_back: TakenBack
) -> None:
    room.wait_until(
        lambda: 3 <= checkpoint(room, FIRST) <= JOB_SECONDS // 2, BOOT_SECONDS, "a task of the first PC under way"
    )
    (task,) = unfinished(room, FIRST)
    before = checkpoint(room, FIRST)
    pressed = time.monotonic()
    first.type("a")
    first.wait_until_off(ORDER_SECONDS)  # QEMU ends at a reset
    assert time.monotonic() - pressed < FROM_KEY_TO_RESET
    assert "a key was pressed: this PC saves its work, and then starts from its own disk" in first.text()
    taken_back.task, taken_back.saved, taken_back.at = task.name, checkpoint(room, FIRST), time.time()
    assert taken_back.saved >= before


def test_then_its_own_disk_starts(room: Room, first: Pc) -> None:
    # From here on its firmware starts as a BIOS, for which a disk with something to say is a few bytes.
    first.firmware = "bios"
    first.power_on()
    first.wait_for(OWN_DISK, 120)
    assert room.boot(FIRST)["entry"] == "local"
    assert len(first.serial_logs) == 3
    first.power_off()


def test_it_is_woken_when_its_respite_is_over(room: Room, first: Pc, taken_back: TakenBack) -> None:
    time.sleep(max(0.0, taken_back.at + RESPITE - time.time()))
    listener = FrameListener(room.other)
    room.appliance("wake", str(FIRST))

    def woken() -> bool:
        return magic_packet(FIRST) in [frame.payload for frame in listener.heard() if frame.port == PORT]

    room.wait_until(woken, 30, "the packet that wakes the first PC, on the wire")
    listener.close()
    first.power_on()  # which QEMU's cards do not do by themselves


def test_the_pc_fails_with_the_broken_release_and_starts_again(room: Room, second: Pc, releases: Releases) -> None:
    second.wait_until_off(BOOT_SECONDS)  # it restarts itself
    assert room.boot(SECOND)["release"] == releases.broken
    second.power_on(may_go_off=True)
    second.wait_for("Linux version", BOOT_SECONDS)  # the box is silent for a while in the next test


def test_the_woken_pc_resumes_its_task_where_it_was_saved(room: Room, first: Pc, taken_back: TakenBack) -> None:
    def is_reported() -> bool:
        return taken_back.task in [task.name for task in reported(room, FIRST)]

    room.wait_until(is_reported, BOOT_SECONDS, "the first PC to report the task that it saved for its owner")
    (resumed,) = (task for task in reported(room, FIRST) if task.name == taken_back.task)
    assert resumed.output["resumed_from"] >= taken_back.saved
    assert resumed.output["total"] == JOB_SECONDS
    assert room.boot(FIRST)["entry"] != "local"
    asked = json.loads(room.appliance("wake", "list", "--json").stdout)
    assert [(each["mac"], each["result"]) for each in asked] == [(str(FIRST), "came")]
    assert len(first.serial_logs) == 4


def test_at_the_end_of_its_window_the_pc_switches_off_though_the_box_is_silent(room: Room, first: Pc) -> None:
    # Far enough for a heartbeat to fetch it.
    begin, end = (time.localtime(time.time() + seconds) for seconds in (-3600, 150))
    window = f"{time.strftime('%H:%M', begin)}-{time.strftime('%H:%M', end)}"
    before = room.configuration.read_text()
    room.configuration.write_text(f'{before}\n[schedules.soon]\nwindows = ["{window}"]\ngrace = 20\n')
    room.appliance("reload")
    room.appliance("allow", "set", str(FIRST), "--schedule", "soon")
    until = datetime.fromtimestamp(time.mktime(end), ZoneInfo("Asia/Kolkata"))
    first.wait_for(f"computes until {until:%a %H:%M}, then this PC switches off", 120)
    assert room.serve
    room.serve.signal(signal.SIGSTOP)
    try:
        first.wait_until_off(ORDER_SECONDS)
    finally:
        room.serve.signal(signal.SIGCONT)
    first.wait_for("the time to compute has ended: no new work; within 20 seconds this PC switches off", 1)
    assert len(first.serial_logs) == 4
    room.configuration.write_text(before)
    room.appliance("reload")


def test_a_canary_that_failed_twice_is_taken_back_by_itself(
    room: Room, second: Pc, releases: Releases, mails: Path
) -> None:
    second.wait_until_off(BOOT_SECONDS)
    assert room.boot(SECOND)["release"] == releases.broken
    second.power_on()
    second.wait_for("Linux version", BOOT_SECONDS)
    assert room.boot(SECOND)["release"] == releases.built
    room.wait_until(lambda: canary(room)["state"] == "rolled back", 60, "the canary to be rolled back")
    assert "1 PC failed with it: the second" in canary(room)["reason"]
    assert room.status()["image"]["id"] == releases.built
    wanted = f"Canary image {releases.broken} was rolled back"
    room.wait_until(lambda: any(wanted in mail for mail in read(mails)), 60, "a mail of it")


@pytest.mark.usefixtures("second")
def test_neither_pc_nor_any_other_host_reaches_the_files_of_the_first(room: Room, second: Pc) -> None:
    # A host that impersonates the second PC on the wire has all that the PC has, plus tools to look around.
    boot = room.boot(SECOND)
    address = boot["addresses"][-1] if boot else None
    second.power_off()
    impostor = room.network.host("impostor", f"{address}/24", SECOND)
    wait_until(lambda: "client_state.xml" in nfs_list(impostor, room.state(SECOND)), 120, "the impostor's own files")
    wait_until(lambda: probe(impostor, "tftp", f"{SECOND.bare}/undionly.kpxe") > 0, 120, "TFTP for the impostor")
    wait_until(lambda: probe(impostor, "http", f"/boot/{SECOND.bare}/{kernel(room)}") > MIB, 120, "HTTP for it")

    for host in (impostor, room.other):
        assert nfs_list(host, room.state(FIRST)) == ""
        # With NFS 4 a host sees the path to what it may mount, and nothing beside it.
        assert FIRST.bare not in nfs_list(host, room.state(FIRST).parent)
        assert probe(host, "tftp", f"{FIRST.bare}/snponly.efi") == 0
        assert probe(host, "http", f"/boot/{FIRST.bare}/boot.ipxe") == 0
    assert nfs_list(room.other, room.state(SECOND)) == ""
    assert nfs_list(room.other, room.data / "images") == ""
    assert probe(room.other, "tftp", "snponly.efi") == 0
    assert probe(room.other, "http", f"/boot/{host_mac(BOX).bare}/{kernel(room)}") == 0


def test_the_first_pcs_disk_is_as_it_was(first: Pc, disk: Path, disk_before: str) -> None:
    # The image has no disk drivers. If it ever gets some, this fails: then only the checksum would protect the disk.
    assert len(first.serial_logs) == 4
    assert not any(re.search(r"\bsda\b", log.read_text(errors="replace")) for log in first.serial_logs)
    first.power_off()
    assert sha256(disk) == disk_before


# What the room is told, and what it says


def tell_another_boot(room: Room) -> None:
    """Change what the first PC is told at its next boot."""
    live = room.directory / "live"
    for name, text in (
        ("files/etc/site/words", "words of an overlay"),
        ("hooks/10-look", '#!/bin/sh\necho "$(date +%Z), $(cat /etc/site/words)"\n'),
        ("hooks/20-fails", "#!/bin/sh\nexit 3\n"),
    ):
        path = live / "lab" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
    with room.configuration.open("a") as file:
        file.write(
            f'\n[live]\ndirectory = "{live}"\n[[live.exceptions]]\nfor = ["{FIRST}"]\n'
            'host_name = "renamed-{mac}"\ntime_zone = "Asia/Kolkata"\noverlay = ["lab"]\n'
        )
    room.appliance("reload")


def doing(room: Room, mac: MacAddress) -> str:
    """What a PC does now, as `status` says."""
    return str(room.boot(mac)["now"]["kind"])


def canary(room: Room) -> Any:
    """What `image canary --json` says of the canary."""
    return json.loads(room.appliance("image", "canary", "--json", check=False).stdout)["canary"]


def details(room: Room, mac: MacAddress) -> Any:
    """What `clients show --json` says of a PC."""
    return json.loads(room.appliance("clients", "show", str(mac), "--json").stdout)


def flat(text: str) -> str:
    """The text without its line ends."""
    return " ".join(text.split())


def read(mails: Path) -> list[str]:
    """The mails that have come, each as one line of text."""
    found = [email.message_from_bytes(each.read_bytes(), policy=email.policy.default) for each in mails.glob("*")]
    texts = [(mail["subject"], mail.get_body(("plain",))) for mail in found]
    return [flat(f"{subject} {body.get_content()}") for subject, body in texts if body]


def checkpoint(room: Room, mac: MacAddress) -> int:
    """How far the PC's current task is, in seconds, according to its checkpoint file on the box; 0 without one."""
    for file in room.state(mac).glob("slots/*/checkpoint"):
        with suppress(FileNotFoundError):  # the task has just ended
            words = file.read_text().split()
            return int(words[0]) if words else 0
    return 0


def kernel(room: Room) -> str:
    return f"image/{room.status()['image']['id']}/vmlinuz"


def boinccmd(room: Room, where: Namespace, password: str) -> "subprocess.CompletedProcess[str]":
    """Ask the first PC's BOINC client for its tasks."""
    command = ["boinccmd", "--host", str(room.leased(FIRST)), "--passwd", password, "--get_tasks"]
    return where.run(command, check=False, timeout=60)


def probe(where: Namespace, protocol: str, path: str) -> int:
    """How many bytes the box gives to a host of the room that asks for a file."""
    script = str(CHECKOUT / "tests/e2e/probe.py")
    return int(where.run([sys.executable, script, protocol, str(BOX), path]).stdout)


def assert_untouched_by_the_box(mac: MacAddress, recording: Capture) -> None:
    """The PC asked and the site offered, but not one packet of the box was for it."""
    seen = list(frames(recording.finish()))
    assert any(f.dhcp == DISCOVER and f.source == mac for f in seen)
    assert any(f.dhcp == OFFER and f.client == mac and f.source == host_mac(SITE) for f in seen)
    of_box = [f for f in seen if f.source == host_mac(BOX) and not f.is_arp]
    # The box's broadcasts to other clients pass here as well, but name another client.
    assert [f.summary for f in of_box if f.client is None or f.client == mac or f.destination == mac] == []


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
