"""PXELINUX: loader, menu, kernel and ramdisk over TFTP alone, for sites where HTTP is closed to firmware."""

from collections.abc import Iterator

import pytest

from services.ethernet import MacAddress
from tests.e2e.rooms import assert_ramdisks, furnished_room
from tests.room.room import Room

MAC = MacAddress.parse("52:54:00:5e:c0:02")
SECONDS = 900


@pytest.fixture
def room() -> Iterator[Room]:
    with furnished_room("pxelinux", settings='[boot.loaders]\nbios = "pxelinux.0"\n') as room:
        room.start_box()
        room.appliance("allow", "add", str(MAC))
        yield room


def test_a_bios_boots_over_tftp_alone(room: Room) -> None:
    pc = room.pc(MAC, "bios", memory=512)
    pc.power_on()
    pc.wait_for("Linux version", SECONDS)
    assert_ramdisks(room, pc)
    pc.power_off()
    boot = room.boot(MAC)
    assert [s["stage"] for s in boot["stages"]] == ["discovered", "offered", "loader", "script", "kernel", "initrd"]
    release = boot["release"]
    fetched = [t["path"] for t in boot["transfers"] if not t["failed"]]
    assert fetched == [
        "pxelinux.0",
        "ldlinux.c32",
        "pxelinux.cfg",
        f"image/{release}/vmlinuz",
        f"image/{release}/microcode.img",
        f"image/{release}/initrd.img",
    ]
    assert {t["service"] for t in boot["transfers"]} == {"tftp"}
