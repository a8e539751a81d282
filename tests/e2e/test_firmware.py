"""Kinds of PC with 512 MB of memory, until their live systems report: BIOS with an old Intel card that loads
undionly.kpxe, UEFI with HTTP boot. Another one's card has an iPXE that cannot drive it, and the box says so.

Other files have other kinds: UEFI with two cards and a SATA disk, and BIOS with an e1000e (test_main_job.py), with a
vmxnet3 and an NVMe disk (test_http_root.py), with a Realtek card (test_menu.py); Secure Boot (test_secure_boot.py).
"""

from collections.abc import Iterator

import pytest

from services.ethernet import MacAddress
from tests.e2e.rooms import furnished_room
from tests.netns.scripted_pc import LOADERS
from tests.room.pc import Pc
from tests.room.room import BOX, Room

E1000 = MacAddress.parse("52:54:00:00:10:00")
PCNET = MacAddress.parse("52:54:00:00:10:70")
HTTP = MacAddress.parse("52:54:00:00:00:80")
MEMORY = 512
BOOT_SECONDS = 900
UNTIL_SCRIPT = 15
"""Seconds from the first offer to the script, in a busy emulator: 3 in a quiet one, 23 where iPXE waits."""


@pytest.fixture(scope="module")
def room() -> Iterator[Room]:
    with furnished_room("firmware") as room:
        room.start_box()
        for mac in (E1000, PCNET, HTTP):
            room.appliance("allow", "add", str(mac))
        yield room


@pytest.fixture(scope="module")
def intel(room: Room) -> Pc:
    """On, and so are the others: an emulated PC mostly waits for others.

    QEMU has no PXE ROM but iPXE, which the box gives a script at once. So an iPXE that it starts as a kernel plays the
    ROM, and loads what the box offers to one.
    """
    rom = f"dhcp && chain tftp://{BOX}/{E1000.bare}/undionly.kpxe"
    start = ("-kernel", str(LOADERS / "ipxe.lkrn"), "-append", rom, "-global", "e1000.romfile=")
    pc = room.pc(E1000, "bios", card="e1000", memory=MEMORY, extra=start)
    pc.power_on()
    return pc


@pytest.fixture(scope="module")
def pcnet(room: Room) -> Pc:
    pc = room.pc(PCNET, "bios", card="pcnet", memory=MEMORY)
    pc.power_on()
    return pc


@pytest.fixture(scope="module")
def http(room: Room) -> Pc:
    pc = room.pc(HTTP, "uefi-http", memory=MEMORY)
    pc.power_on()
    return pc


def loaders(room: Room, pc: Pc) -> list[tuple[str, str]]:
    """What the box served to the PC's firmware before any script: (file, service)."""
    transfers = room.boot(pc.mac)["transfers"]
    return [(t["path"], t["service"]) for t in transfers if not t["path"].startswith("image/")]


@pytest.mark.usefixtures("http", "intel")
def test_a_card_that_its_own_ipxe_cannot_drive_is_named(room: Room, pcnet: Pc) -> None:
    """Of what is sent to QEMU's pcnet, iPXE loses most."""
    room.wait_until(lambda: bool((room.boot(PCNET) or {}).get("diagnosis")), BOOT_SECONDS, "a diagnosis")
    pcnet.power_off()
    diagnosis = room.boot(PCNET)["diagnosis"]
    assert diagnosis["cause"] == "vmlinuz stopped on its way: the loader's network driver, or the cable"
    assert "another card" in diagnosis["cure"]


def test_a_bios_that_loads_undionly_waits_for_no_ipv6_router(room: Room, intel: Pc) -> None:
    """Neither of the two iPXE does; Debian 12's waits for 16 seconds, Debian 13's for 4."""
    room.wait_for_stage(intel.mac, "reported", BOOT_SECONDS)
    intel.power_off()
    assert "using undionly" in intel.text()
    assert loaders(room, intel) == [("undionly.kpxe", "tftp")]
    at = {stage["stage"]: stage["at"] for stage in room.boot(E1000)["stages"]}
    assert at["script"] - at["offered"] < UNTIL_SCRIPT


def test_uefi_boots_its_loader_over_http_beside_the_sites_dhcp_server(room: Room, http: Pc) -> None:
    room.wait_for_stage(http.mac, "reported", BOOT_SECONDS)
    http.power_off()
    assert loaders(room, http) == [("snponly.efi", "http")]
    assert room.leased(http.mac) is not None
