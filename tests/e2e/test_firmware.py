"""Kinds of firmware beside those of the main job (BIOS with virtio and OVMF by PXE), as far as the kernel."""

from collections.abc import Iterator

import pytest

from services.ethernet import MacAddress
from tests.e2e.rooms import furnished_room
from tests.room.pc import Firmware, Pc
from tests.room.room import Room

KINDS: dict[Firmware, MacAddress] = {
    "bios-e1000": MacAddress.parse("52:54:00:00:10:00"),
    "uefi-http": MacAddress.parse("52:54:00:00:00:80"),
}
BOOT_SECONDS = 900


@pytest.fixture(scope="module")
def room() -> Iterator[Room]:
    with furnished_room("firmware") as room:
        room.start_box()
        yield room


@pytest.fixture(scope="module")
def pcs(room: Room) -> Iterator[dict[Firmware, Pc]]:
    """All are on at the same time: an emulated PC mostly waits for others."""
    pcs = {kind: room.pc(mac, kind, memory=512) for kind, mac in KINDS.items()}
    for pc in pcs.values():
        room.appliance("allow", "add", str(pc.mac))
        pc.power_on()
    yield pcs
    for pc in pcs.values():
        pc.power_off()
        room.appliance("allow", "remove", str(pc.mac))


def kernel_runs(pc: Pc) -> None:
    """Wait until the PC's kernel runs, then switch it off."""
    pc.wait_for("Linux version", BOOT_SECONDS)
    pc.power_off()


def loaders(room: Room, pc: Pc) -> list[tuple[str, str]]:
    """What the box served to the PC's firmware before any script: (file, service)."""
    transfers = room.boot(pc.mac)["transfers"]
    return [(t["path"], t["service"]) for t in transfers if not t["path"].startswith("image/")]


def test_bios_with_the_ipxe_of_an_intel_card(room: Room, pcs: dict[Firmware, Pc]) -> None:
    pc = pcs["bios-e1000"]
    kernel_runs(pc)
    assert "using 82540em" in pc.text()
    assert loaders(room, pc) == []


def test_uefi_boots_its_loader_over_http_beside_the_sites_dhcp_server(room: Room, pcs: dict[Firmware, Pc]) -> None:
    pc = pcs["uefi-http"]
    kernel_runs(pc)
    assert loaders(room, pc) == [("snponly.efi", "http")]
    assert room.leased(pc.mac) is not None
