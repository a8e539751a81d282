"""`menu` as its user types it."""

import json
from ipaddress import IPv4Interface

import pytest

from appliance.config import menu_password
from appliance.errors import UserError
from services.ethernet import MacAddress
from services.linux.interfaces import Interface
from services.menus.grub import HASH
from tests.unit.appliance.cli.box_with_releases import NEW, OLD, PC, BoxWithReleases


def test_the_preview_tells_where_each_thing_comes_from(box: BoxWithReleases) -> None:
    box.run("allow", "add", "52:54:00:*", "--label", "room 12", "--default", "local", "--root", "http")
    shown = box.run("menu", "show", "--for", PC).splitlines()
    assert shown == [
        "range     52:54:00:00:00:00/24 room 12",
        "default   local (its range)",
        "timeout   10 s ([menu])",
        "root      http",
        "",
        "    entry     title                                            locked",
        f"    boinc     BOINC (image {NEW})",
        f"    previous  BOINC (previous image {OLD})",
        "->  local     Local disk",
        "    rescue    Rescue shell                                     password",
    ]
    facts = json.loads(box.run("menu", "show", "--for", PC, "--json"))
    assert (facts["default"], facts["default_from"]) == ("local", "its range")
    assert (facts["timeout"], facts["timeout_from"], facts["root"]) == (10, "[menu]", "http")
    assert facts["missing"] == ["memtest: the active image has none: build another one"]
    assert json.loads(box.run("menu", "show", "--json"))["default"] == "boinc", "it belongs to no range"


def test_without_a_configuration_there_is_no_menu(box: BoxWithReleases) -> None:
    box.configure("")
    box.run("allow", "add", PC)
    shown = box.run("menu", "show", "--for", PC)
    assert "default   boinc ([menu])" in shown
    assert "timeout   0: no menu is shown, the default starts at once ([menu])" in shown


def test_a_room_that_is_held_off_starts_its_own_disks(box: BoxWithReleases) -> None:
    box.run("allow", "add", PC, "--label", "room 12")
    box.run("room", "off", "room 12")
    shown = box.run("menu", "show", "--for", PC)
    assert "default   local (its room is held off)" in shown
    assert "timeout   0: no menu is shown, the default starts at once (its room is held off)" in shown
    box.run("boot", "next", PC, "previous")
    assert "default   previous (boot next)" in box.run("menu", "show", "--for", PC)


@pytest.mark.parametrize("dialect", ["ipxe", "grub", "pxelinux"])
def test_what_the_loader_would_read_has_no_secrets(
    box: BoxWithReleases, dialect: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lan = Interface("lan0", 2, IPv4Interface("10.77.0.1/24"), MacAddress(1))
    monkeypatch.setattr("appliance.boot.preview.interfaces", lambda _: [lan])
    box.run("allow", "add", PC)
    text = box.run("menu", "show", "--for", PC, "--dialect", dialect)
    assert "scrypt:" not in text
    assert not HASH.search(text)
    assert f"BOINC (image {NEW})" in text
    if dialect != "ipxe":
        assert "netboot_appliance.token=(not-shown)" in text
    else:
        assert "http://10.77.0.1:8080/boot/525400aabbcc/menu/${chosen}.ipxe" in text


def test_only_an_image_that_has_microcode_names_it(box: BoxWithReleases, monkeypatch: pytest.MonkeyPatch) -> None:
    lan = Interface("lan0", 2, IPv4Interface("10.77.0.1/24"), MacAddress(1))
    monkeypatch.setattr("appliance.boot.preview.interfaces", lambda _: [lan])
    box.run("allow", "add", PC)
    text = box.run("menu", "show", "--for", PC, "--dialect", "pxelinux")
    newer, older = (line.split() for line in text.splitlines() if line.startswith("  initrd "))
    assert newer == ["initrd", f"image/{NEW}/microcode.img,image/{NEW}/initrd.img"]
    assert older == ["initrd", f"image/{OLD}/initrd.img"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("menu", "show", "--for", PC), "is not allowed: it gets no menu"),
        (("menu", "show", "--for", "x"), "is not a MAC address"),
        (("menu", "show", "--dialect", "lilo"), "there is no dialect 'lilo'"),
    ],
)
def test_bad_input(box: BoxWithReleases, arguments: tuple[str, ...], words: str) -> None:
    with pytest.raises(UserError) as caught:
        box.run(*arguments)
    assert words in caught.value.message
    assert caught.value.code == 2
    assert box.run("allow", "export") == ""


def test_a_password_from_standard_input(box: BoxWithReleases) -> None:
    lines = box.run("menu", "password", stdin="correct horse\n").splitlines()
    box.configure("[menu]\n" + "\n".join(lines))
    assert lines[0].startswith('password = "scrypt:')
    assert menu_password.parse(lines[0].split('"')[1]).matches("correct horse")
    assert lines[1].startswith('grub_password = "grub.pbkdf2.sha512.10000.')
    assert "(set, not shown)" in box.run("config", "show")
    assert "scrypt:" not in box.run("config", "show")
    with pytest.raises(UserError, match="a password must have 1 to 64"):
        box.run("menu", "password", stdin="\n")
