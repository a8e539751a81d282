"""Secure Boot with Microsoft's keys in OVMF: shim and GRUB by TFTP, beside another DHCP server too, and how a PC learns
to load them by itself. With test keys in OVMF: a signed iPXE with a shim of its own."""

from collections.abc import Iterator

import pytest

from services.ethernet import MacAddress
from tests.e2e.rooms import assert_ramdisks, furnished_room
from tests.room.live_image import DEMO
from tests.room.room import BOX, Room
from tests.room.signing import sign

MAC = MacAddress.parse("52:54:00:5e:c0:01")
MEMORY = 512
SECONDS = 900
SHIM = '[boot.loaders]\nuefi_x64 = "shimx64.efi"\n'
IPXE_SHIM = "snponly-shimx64.efi"
SERVER = '[dhcp]\nmode = "server"\npool = "10.77.0.100-10.77.0.200"\n'


@pytest.fixture
def room(request: pytest.FixtureRequest) -> Iterator[Room]:
    """A room for each test, whose parameter says who is the DHCP server."""
    served: bool = request.param
    name = "secure-boot-server" if served else "secure-boot-proxy"
    with furnished_room(name, settings=SERVER if served else SHIM, site=not served) as room:
        room.start_box()
        room.appliance("allow", "add", str(MAC))
        yield room


@pytest.mark.parametrize("room", [False], indirect=True)
def test_under_a_proxy_grub_finds_the_box_and_the_signed_kernel_starts(room: Room) -> None:
    """Debian 13's GRUB does. Debian 12's asks the site's DHCP server instead: tests/unit/appliance/diagnosis."""
    pc = room.pc(MAC, "uefi-secure", memory=MEMORY)
    pc.power_on()
    pc.wait_for("Linux version", SECONDS)
    pc.wait_for("secureboot: Secure boot enabled", 180)
    room.wait_for_stage(MAC, "reported", SECONDS)
    assert_ramdisks(room, pc)
    pc.power_off()
    boot = room.boot(MAC)
    assert [t["path"] for t in boot["transfers"]][:3] == ["shimx64.efi", "grubx64.efi", "grub.cfg"]
    assert {t["service"] for t in boot["transfers"]} == {"tftp"}
    assert boot["diagnosis"] is None
    assert "netboot-appliance: starting the kernel" in pc.text()


@pytest.mark.parametrize("room", [True], indirect=True)
def test_with_the_box_as_dhcp_server_the_signed_kernel_starts_at_the_second_power_on(room: Room) -> None:
    pc = room.pc(MAC, "uefi-secure", memory=MEMORY)
    pc.power_on()
    pc.wait_for("Access Denied", SECONDS)  # to snponly.efi, which is not signed
    pc.power_off()
    pc.power_on()
    pc.wait_for("Linux version", SECONDS)
    pc.wait_for("secureboot: Secure boot enabled", 180)
    pc.power_off()
    boot = room.boot(MAC)
    assert [s["stage"] for s in boot["stages"]][2:] == ["loader", "script", "kernel", "initrd"]
    assert {t["service"] for t in boot["transfers"]} == {"tftp"}
    assert boot["diagnosis"] is None
    (learned,) = room.status()["firmware"]
    assert (learned["profile"], learned["worked"]) == ("shim", True)
    assert f"nfsroot={BOX}:" in pc.text()


def ipxes_own(shim: bytes) -> bytes:
    """Debian's shim made into one like the iPXE project's: it starts snponly.efi, and nothing that Debian signed."""
    changes = {
        "grubx64.efi".encode("utf-16-le"): "snponly.efi".encode("utf-16-le"),
        b"Debian Secure Boot CA": b"Others Secure Boot CA",
    }
    for old, new in changes.items():
        assert old in shim
        assert len(old) == len(new)
        shim = shim.replace(old, new)
    return shim


@pytest.fixture
def room_with_signed_ipxe() -> Iterator[Room]:
    """Its loaders are Debian's, signed as the iPXE project's are: the PC's firmware starts them and Debian's shim, but
    not Debian's kernel."""
    own = DEMO / "secure-boot-ipxe" / "own"
    settings = f'[boot]\ndirectory = "{own}"\n[boot.loaders]\nuefi_x64 = "{IPXE_SHIM}"\n'
    with furnished_room("secure-boot-ipxe", settings=settings) as room:
        debian = room.data / "images" / "current" / "loaders"
        shim, ipxe = ((debian / name).read_bytes() for name in ("shimx64.efi", "snponly.efi"))
        for content, name in ((ipxes_own(shim), IPXE_SHIM), (ipxe, "snponly.efi"), (shim, "shimx64.efi")):
            sign(content, own / name)
        room.start_box()
        room.appliance("allow", "add", str(MAC))
        yield room


def test_a_signed_ipxe_has_debians_shim_vouch_for_the_kernel(room_with_signed_ipxe: Room) -> None:
    room = room_with_signed_ipxe
    pc = room.pc(MAC, "uefi-test-keys", memory=MEMORY)
    pc.power_on()
    pc.wait_for("Linux version", SECONDS)
    pc.wait_for("secureboot: Secure boot enabled", 180)
    pc.power_off()
    boot = room.boot(MAC)
    loaders = [(t["path"], t["service"]) for t in boot["transfers"] if not t["path"].startswith("image/")]
    firmwares = [(name, "tftp") for name in (IPXE_SHIM, "snponly.efi", "autoexec.ipxe")]
    assert loaders == [*firmwares, ("shimx64.efi", "http")]
    assert [t["service"] for t in boot["transfers"] if t["path"].startswith("image/")] == ["http"] * 3
    assert [s["stage"] for s in boot["stages"]][2:6] == ["loader", "script", "kernel", "initrd"]
    assert boot["diagnosis"] is None
