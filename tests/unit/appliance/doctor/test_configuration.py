"""What `config check` warns about."""

from pathlib import Path

from appliance.config import menu_password
from appliance.config.file import load
from appliance.doctor.configuration import menu_warnings
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
