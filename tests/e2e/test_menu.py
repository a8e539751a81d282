"""The boot menu on a real iPXE: a locked entry opens with its password only, and after the timeout the default boots.
In a room that is held off there is no menu: PCs start their own disks at once, by BIOS and by UEFI.

The PC boots an image of its own, and while it runs a package is added to that: its next boot has it.

BIOS with the iPXE of a Realtek card; keys come from QEMU's keyboard, the menu is read from the serial line.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.config import menu_password
from image import release
from services.decision import Reason
from services.ethernet import MacAddress
from tests.e2e.hardware import ahci_disk, fat_disk, office_directory, office_disk
from tests.e2e.rooms import furnished_room
from tests.room.live_image import DEMO, customize, only_one
from tests.room.pc import Pc
from tests.room.processes import wait_until
from tests.room.room import Room, appliance_command

MAC = MacAddress.parse("52:54:00:aa:bb:c4")
UEFI = MacAddress.parse("52:54:00:aa:bb:c6")
SAID = "the office system starts"
PACKAGE, PROGRAM = "sl", "/usr/games/sl"
"""One of the smallest packages, and a file of it."""
ADDED_WITHIN = 60
"""Seconds from a package's name in the recipe to the release that the next boot gets."""
AT_ONCE = 10
"""Seconds from the box's offer to the first program of the PC's own disk."""
BOOT_SECONDS = 900
MENU = f"""
[menu]
entries = ["boinc", "local", "rescue"]
timeout = 10
locked = ["rescue"]
password = "{menu_password.scrypt("s3cret")}"
"""


@pytest.fixture(scope="module")
def room() -> Iterator[Room]:
    with furnished_room("menu", settings=MENU) as room:
        room.start_box()
        for mac in (MAC, UEFI):
            room.appliance("allow", "add", str(mac), "--label", "office")
        yield room


@pytest.fixture(scope="module")
def pc(room: Room) -> Pc:
    disk = office_disk(room.directory, SAID)
    return room.pc(MAC, "bios", card="rtl8139", memory=512, extra=ahci_disk(disk))


@pytest.fixture(scope="module")
def lab(room: Room) -> Path:
    """The directory of another image, which the BIOS PC boots. It is built with the steps that the first image's build
    has kept. It says on the console at each boot whether the package is there."""
    (room.data / "build").unlink(missing_ok=True)
    (room.data / "build").symlink_to(DEMO.resolve() / "data" / "build")
    customize(room.directory, "lab", f"lab: $(ls {PROGRAM} 2> /dev/null || echo no package)")
    build_lab(room)
    room.appliance("allow", "set", str(MAC), "--image", "lab")
    return room.directory / "images" / "lab"


def build_lab(room: Room) -> None:
    """On the box, by way of this machine's network: the room's own has no Debian mirror."""
    command = [appliance_command(), "--config", str(room.configuration), "image", "build", "lab"]
    with only_one(DEMO, wait=True):
        room.box.run(["nsenter", f"--net=/proc/{os.getpid()}/ns/net", "--", *command], timeout=600)


def release_of_lab(room: Room) -> str:
    active = release.current(room.data / "images", "lab")
    assert active
    return active.id


@pytest.fixture(scope="module")
def office(room: Room) -> Pc:
    """A PC with UEFI; off."""
    return room.pc(UEFI, memory=512, extra=fat_disk(office_directory(room.directory / "office", SAID)))


def await_next(pc: Pc, text: str, since: int, seconds: float = 180) -> int:
    """Wait for `text` in the serial log after character `since`; returns the position after it."""

    def seen() -> bool:
        pc.require_on()
        return text in pc.text()[since:]

    wait_until(seen, seconds, f"{text!r} on the serial line, {pc.serial}")
    return pc.text().index(text, since) + len(text)


def log_in(pc: Pc, password: str, since: int) -> int:
    """Choose the third entry as soon as the menu shows, and type a password."""
    menu = await_next(pc, "3 Rescue shell (password)", since, BOOT_SECONDS)
    pc.type("3")
    asked = await_next(pc, "Password", menu)
    pc.type(f"admin\n{password}\n")
    return asked


def test_a_locked_entry_opens_with_its_password_only(room: Room, pc: Pc) -> None:
    pc.power_on()
    asked = log_in(pc, "wrong", 0)
    refused = await_next(pc, "rescue stays locked", asked)
    assert "Linux version" not in pc.text()
    log_in(pc, "s3cret", refused)
    kernel = await_next(pc, "Linux version", refused, BOOT_SECONDS)
    await_next(pc, "init=/bin/bash", kernel)
    pc.power_off()
    assert room.boot(MAC)["entry"] == "rescue"
    said = [(each["reason"], each["count"]) for each in room.status()["ignored"] if each["client"] == str(MAC)]
    assert said == [(Reason.PASSWORD_WRONG, 1)]


def test_the_default_boots_after_the_timeout_and_is_the_image_of_its_range(room: Room, pc: Pc, lab: Path) -> None:
    pc.power_on()
    menu = await_next(pc, "1 BOINC", 0, BOOT_SECONDS)
    await_next(pc, "(10)", menu)
    await_next(pc, "(1)", menu)
    kernel = await_next(pc, "Linux version", menu, BOOT_SECONDS)
    await_next(pc, "netboot_appliance.token=", kernel)
    assert "init=/bin/bash" not in pc.text()
    room.wait_for_stage(MAC, "reported", BOOT_SECONDS)
    await_next(pc, "lab: no package", kernel, BOOT_SECONDS)
    boot = room.boot(MAC)
    assert (boot["entry"], boot["release"]) == ("boinc", release_of_lab(room))


def test_a_package_that_is_added_while_the_pc_runs_is_there_at_its_next_boot(room: Room, pc: Pc, lab: Path) -> None:
    began, before = time.monotonic(), room.boot(MAC)["release"]
    (lab / "packages").write_text(f"{PACKAGE}\n")
    build_lab(room)
    took = time.monotonic() - began
    print(f"a package more: {took:.1f} s from the edit to the release that the next boot gets")
    assert took < ADDED_WITHIN
    pc.require_on()
    pc.power_off()
    pc.power_on()
    menu = await_next(pc, "1 BOINC", 0, BOOT_SECONDS)
    pc.type("1")
    await_next(pc, f"lab: {PROGRAM}", menu, BOOT_SECONDS)
    pc.power_off()
    assert before != room.boot(MAC)["release"] == release_of_lab(room)


def test_in_a_room_that_is_held_off_pcs_start_their_own_disks_at_once(room: Room, pc: Pc, office: Pc) -> None:
    room.appliance("room", "off", "Office")
    for each in (pc, office):
        each.power_on()
        room.wait_for_stage(each.mac, "offered", BOOT_SECONDS)
        each.wait_for(SAID, BOOT_SECONDS)
        now, boot = time.time(), room.boot(each.mac)
        offered = next(stage["at"] for stage in boot["stages"] if stage["stage"] == "offered")
        took = now - boot["started"] - offered
        each.power_off()
        print(f"{each.firmware}: {took:.1f} s from the offer to the own disk")
        assert took < AT_ONCE
        assert "BOINC" not in each.text(), "no menu"
        assert (boot["entry"], boot["failure"]) == ("local", "")
    room.appliance("room", "release", "office")
