"""How the PC of `image test` is made, and the box that boots it."""

from pathlib import Path

from appliance.config.file import parse
from appliance.images import emulated_pc
from appliance.images.emulated_pc import BOX, MAC, PC


def test_the_box_boots_only_this_pc_by_http_and_has_no_page() -> None:
    text = emulated_pc.configuration(Path("/run/test/data"), ("quiet", "a=b,c", "console=tty0"))
    config = parse(text, Path("/run/test/config.toml"))
    assert config.server.data == Path("/run/test/data")
    assert (config.image.root, config.control.enabled, config.dhcp.mode) == ("http", False, "server")
    assert config.dhcp.static_addresses == {MAC: PC}
    assert config.image.kernel_arguments[:3] == ("quiet", "a=b,c", "console=tty0")
    assert config.image.kernel_arguments[-2:] == ("console=ttyS0,115200", "netboot_appliance.state=memory")
    assert [str(each) for each in config.nfs.networks] == [f"{BOX}/32"]


def test_it_has_room_for_the_live_system_in_memory() -> None:
    assert emulated_pc.memory(90 << 20) == 1024
    assert emulated_pc.memory(2000 << 20) == 2512


def test_a_pc_with_uefi_boots_by_its_firmware_and_one_with_bios_by_the_rom_of_its_card() -> None:
    uefi = emulated_pc.command("uefi", Path("/r"), Path("/r/console"), 7, 1024, kvm=False)
    bios = emulated_pc.command("bios", Path("/r"), Path("/r/console"), 7, 1024, kvm=True)
    assert f"virtio-net-pci,netdev=n0,mac={MAC},bootindex=1,romfile=" in uefi
    assert f"virtio-net-pci,netdev=n0,mac={MAC},bootindex=1" in bios
    assert sum("pflash" in each for each in uefi) == 2
    assert not any("pflash" in each for each in bios)
    assert uefi[uefi.index("-accel") + 1] == "tcg"
    assert bios[bios.index("-accel") + 1] == "kvm"
    for line in (uefi, bios):
        assert "tap,id=n0,fd=7" in line
        assert not any("user," in each or "if=virtio" in each for each in line), "no other network, and no disk"
