"""Which script iPXE asks for, and which files the script loads."""

from services.dhcp.snippets import IPXE_OWN_MAC
from services.ethernet import MacAddress
from services.menus.ipxe import render
from services.menus.menu import LiveBoot, LocalDisk, Menu, MenuEntry, Reboot
from services.probe.ipxe_script import default, expand, files

URL = "http://10.77.0.1/boot/525400aabb01/boot.ipxe"


def test_the_box_s_own_script() -> None:
    live = LiveBoot("1", microcode=True)
    line = "boot=live initrd=x nfsroot=10.77.0.1:/srv"
    text = render(
        Menu("menu", (MenuEntry("boinc", "BOINC", live),), "boinc"), URL.removesuffix("boot.ipxe"), lambda _: line
    )
    base = "http://10.77.0.1/boot/525400aabb01/image/1/"
    assert files(text, URL) == (base + "vmlinuz", base + "microcode.img", base + "initrd.img")


def test_the_box_s_own_menu() -> None:
    entries = (MenuEntry("local", "Local disk", LocalDisk()), MenuEntry("reboot", "Restart", Reboot(), locked=True))
    text = render(Menu("menu", entries, "local", timeout=5), URL.removesuffix("boot.ipxe"), lambda _: "")
    assert default(text, URL) == "http://10.77.0.1/boot/525400aabb01/menu/local.ipxe"
    assert files(text, URL) == ()
    assert default("", URL) == default("chain menu/${chosen}.ipxe ||", URL) == ""


def test_other_scripts() -> None:
    text = "#!ipxe\n  kernel --name k -t 5 http://a/k quiet\ninitrd /r1\ninitrd\nimgfree\n#kernel no\necho initrd x\n"
    assert files(text, URL) == ("http://a/k", "http://10.77.0.1/r1")
    assert files("", URL) == ()


def test_the_mac_address_is_filled_into_the_name_of_a_script() -> None:
    mac = MacAddress.parse("52:54:00:aa:bb:01")
    assert expand(f"http://10.77.0.1/boot/{IPXE_OWN_MAC}/boot.ipxe", mac) == URL
    assert expand("http://a/${mac:hexraw}/${uuid}", mac) == "http://a/525400aabb01/${uuid}"
