"""What `config check` warns about."""

from pathlib import Path

from appliance.allowlist import Allowlist, BootSettings, Entry
from appliance.config import menu_password
from appliance.config.file import load
from appliance.doctor.configuration import canary_for_nobody, menu_warnings
from services.ethernet import MacAddress, MacRange
from tests.unit.appliance.cli.box_with_releases import MENU, OLD, BoxWithReleases


def test_a_check_tells_what_the_menu_will_lack(tmp_path: Path) -> None:
    box = BoxWithReleases(tmp_path)
    gone = "image:20200101-000000-00000000"
    box.configure(f"""
[menu]
entries = ["boinc", "rescue", "local", "image:{OLD}", "{gone}"]
locked = ["local"]
password = "{menu_password.scrypt("secret")}"

[boot.loaders]
uefi_x64 = "grubx64.efi"
""")
    warnings = list(menu_warnings(load(box.data / "c.toml")))
    assert [warning.split(":")[0] for warning in warnings] == [
        "[menu] image",
        "[menu] rescue is not locked",
        "[menu] grub_password is empty",
    ]
    assert warnings[0].startswith(f"[menu] {gone} is left out")
    box.configure('[menu]\ntimeout = 5\n[boot.loaders]\nuefi_x64 = "ipxe-shimx64.efi"\n')
    (keyboard,) = menu_warnings(load(box.data / "c.toml"))
    assert "no key works in its menus" in keyboard
    box.configure('[menu]\ntimeout = 5\n[boot.loaders]\nuefi_x64 = "snponly-shimx64.efi"\n')
    assert list(menu_warnings(load(box.data / "c.toml"))) == []
    box.configure(MENU)
    assert list(menu_warnings(load(box.data / "c.toml"))) == []


def test_a_check_tells_for_which_images_a_canary_means_nobody(tmp_path: Path) -> None:
    box = BoxWithReleases(tmp_path)
    (tmp_path / "images" / "lab").mkdir()
    pc, lab_pc = MacAddress.parse("52:54:00:aa:bb:01"), MacAddress.parse("52:54:00:aa:bb:02")
    entries = [
        Entry(MacRange(pc, pc), "room 12"),
        Entry(MacRange(lab_pc, lab_pc), "lab", BootSettings(image="lab")),
    ]

    def said(canary: str, *booted: MacAddress) -> list[str]:
        box.configure(f'[image]\ncanary = "{canary}"\n')
        return list(canary_for_nobody(load(tmp_path / "c.toml"), Allowlist.of(entries), booted))

    (wrong,) = said("room 13", pc)
    assert wrong.startswith(
        "[image] canary: 'room 13' is no label, and no MAC address or range; image update would stop"
    )
    assert said("room 12", pc) == [], "an image that no PC has booted needs no canary"
    (lab,) = said("room 12", pc, lab_pc)
    assert lab.startswith(
        "[image] canary: no PC of room 12 boots the image lab; image update would stop there: write a"
    )
    assert said("1-per-label", pc, lab_pc) == said("", pc) == []
