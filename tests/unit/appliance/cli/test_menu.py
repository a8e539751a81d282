"""`menu`, `boot next` and the settings of ranges, as their user types them."""

import json
from ipaddress import IPv4Interface
from pathlib import Path

import pytest
from typer.testing import CliRunner

from appliance.boot import next_boot
from appliance.cli.main import app
from appliance.config import menu_password
from appliance.config.file import load
from appliance.doctor.configuration import menu_warnings
from appliance.errors import UserError
from appliance.registry.database import Client, Registry
from image import release
from services.ethernet import MacAddress
from services.linux.neighbours import Interface
from services.menus.grub import HASH
from tests.unit.image.test_release import publish

PC = "52:54:00:aa:bb:cc"
OLD, NEW = "20261122-090000-aaaaaaaa", "20261123-150102-1a2b3c4d"
MENU = f"""
[menu]
entries = ["boinc", "previous", "local", "rescue", "memtest"]
timeout = 10
locked = ["rescue"]
password = "{menu_password.scrypt("secret")}"
grub_password = "{menu_password.grub("secret")}"
"""


class Box:
    """The command line of a box with two releases."""

    def __init__(self, data: Path) -> None:
        self.data = data
        for each in (OLD, NEW):
            publish(data / "images", each)
            release.activate(data / "images", each)
        self.configure(MENU)

    def configure(self, menu: str) -> None:
        text = f'[server]\ninterfaces = ["lo"]\nhttp_port = 8080\ndata = "{self.data}"\n{menu}'
        (self.data / "c.toml").write_text(text)

    def run(self, *arguments: str, stdin: str | None = None) -> str:
        """What it prints; raises the UserError that `run` of the program would print."""
        done = CliRunner().invoke(app, ["--config", str(self.data / "c.toml"), *arguments], input=stdin)
        if isinstance(done.exception, UserError):
            raise done.exception
        assert done.exit_code == 0, done
        return done.stdout


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def test_the_preview_tells_where_each_thing_comes_from(box: Box) -> None:
    box.run("allow", "add", "52:54:00:*", "--label", "room 12", "--default", "local", "--root", "http")
    shown = box.run("menu", "show", "--for", PC).splitlines()
    assert shown == [
        "range     52:54:00:00:00:00/24 room 12",
        "default   local (its range)",
        "timeout   10 s ([menu])",
        "root      http",
        "",
        "    entry     title                                                     locked",
        f"    boinc     BOINC (image {NEW})",
        f"    previous  BOINC, the image before (image {OLD})",
        "->  local     Local disk",
        "    rescue    Rescue shell                                              password",
    ]
    facts = json.loads(box.run("menu", "show", "--for", PC, "--json"))
    assert (facts["default"], facts["default_from"]) == ("local", "its range")
    assert (facts["timeout"], facts["timeout_from"], facts["root"]) == (10, "[menu]", "http")
    assert facts["missing"] == ["memtest: apt-get install memtest86+, and restart the server"]
    assert json.loads(box.run("menu", "show", "--json"))["default"] == "boinc", "it belongs to no range"


def test_without_a_configuration_there_is_no_menu(box: Box) -> None:
    box.configure("")
    box.run("allow", "add", PC)
    shown = box.run("menu", "show", "--for", PC)
    assert "default   boinc ([menu])" in shown
    assert "timeout   0: no menu is shown, the default starts at once ([menu])" in shown


@pytest.mark.parametrize("dialect", ["ipxe", "grub", "pxelinux"])
def test_what_the_loader_would_read_has_no_secrets(box: Box, dialect: str, monkeypatch: pytest.MonkeyPatch) -> None:
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


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("menu", "show", "--for", PC), "is not allowed: it gets no menu"),
        (("menu", "show", "--for", "x"), "is not a MAC address"),
        (("menu", "show", "--dialect", "lilo"), "there is no dialect 'lilo'"),
        (("boot", "next", PC, "local"), "is not allowed; nothing was changed"),
        (("boot", "next", PC, "disk"), "'disk' is no entry of the menu"),
        (("boot", "next", PC), "name an entry or use --clear"),
        (("boot", "next", PC, "local", "--clear"), "name an entry or use --clear"),
        (("allow", "add", PC, "--default", "disk"), "'disk' is no entry of the menu"),
        (("allow", "add", PC, "--default", "rescue"), "rescue is locked in [menu]"),
        (("allow", "add", PC, "--timeout", "-1"), "whole seconds"),
        (("allow", "add", PC, "--timeout", "9999"), "timeout: seconds from 0 (no menu) to 3600"),
        (("allow", "add", PC, "--root", "tftp"), "root=tftp: one of nfs, http"),
        (("allow", "add", PC, "--label", "root=http"), "a label does not begin with a setting"),
    ],
)
def test_bad_input(box: Box, arguments: tuple[str, ...], words: str) -> None:
    with pytest.raises(UserError) as caught:
        box.run(*arguments)
    assert words in caught.value.message
    assert caught.value.code == 2
    assert box.run("allow", "export") == ""


def test_boot_next(box: Box) -> None:
    box.run("allow", "add", PC)
    assert box.run("boot", "next", PC, "rescue") == f"{PC} starts rescue at its next boot\n"
    shown = box.run("menu", "show", "--for", PC)
    assert "default   rescue (boot next)" in shown
    assert "timeout   0: no menu is shown, the default starts at once (boot next)" in shown
    assert nothing_running(box)["next_boots"] == [{"mac": PC, "entry": "rescue", "taken": False}]
    assert box.run("boot", "next", PC, "--clear") == f"{PC} boots normally\n"
    assert box.run("boot", "next", PC, "--clear") == f"no entry was set for the next boot of {PC}\n"
    assert nothing_running(box)["next_boots"] == []


def test_boot_next_of_what_there_is_not(box: Box) -> None:
    box.run("allow", "add", PC)
    for entry, words in (("memtest", "apt-get install memtest86+"), (f"image:{OLD}0", "is no entry")):
        with pytest.raises(UserError, match=r"memtest86\+|is no entry") as caught:
            box.run("boot", "next", PC, entry)
        assert words in caught.value.message
    with pytest.raises(UserError, match="there is no such release any more"):
        box.run("boot", "next", PC, "image:20200101-000000-00000000")
    assert box.run("boot", "next", PC, f"image:{OLD}").endswith("at its next boot\n")


def test_clients_show_has_it(box: Box) -> None:
    box.run("allow", "add", PC)
    mac = MacAddress.parse(PC)
    with Registry(box.data / "registry" / "registry.sqlite3") as registry:
        registry.register(Client(1, mac, 1000.0, "a password"))
        next_boot.ask(registry, mac, "local")
        assert "next boot          local\n" in box.run("clients", "show", PC)
        assert json.loads(box.run("clients", "show", PC, "--json"))["next_boot"] == "local"
        next_boot.take(registry, mac, 1)
    assert "next boot          local (under way)\n" in box.run("clients", "show", PC)


def test_what_a_range_boots_is_shown_and_survives_export_and_import(box: Box) -> None:
    added = box.run("allow", "add", "52:54:00:*", "--label", "room", "--default", "local", "--timeout", "5")
    assert added == ("allowed 52:54:00:00:00:00/24 (room): 16,777,216 addresses; boots with default=local timeout=5\n")
    assert box.run("allow", "check", PC).endswith("(room); boots with default=local timeout=5\n")
    listed = json.loads(box.run("allow", "list", "--json"))[0]
    assert (listed["default"], listed["timeout"], listed["root"]) == ("local", 5, None)
    assert "default=local timeout=5" in box.run("allow", "list")
    text = box.run("allow", "export")
    assert text == "52:54:00:00:00:00/24  default=local timeout=5  room\n"
    again = box.run("allow", "add", "52:54:00:*", "--label", "room")
    assert again == "52:54:00:00:00:00/24 was already allowed; it now boots as configured\n"
    box.run("allow", "import", "-", stdin=text)
    assert box.run("allow", "export") == text


def test_a_password_from_standard_input(box: Box) -> None:
    lines = box.run("menu", "password", stdin="correct horse\n").splitlines()
    box.configure("[menu]\n" + "\n".join(lines))
    assert lines[0].startswith('password = "scrypt:')
    assert menu_password.parse(lines[0].split('"')[1]).matches("correct horse")
    assert lines[1].startswith('grub_password = "grub.pbkdf2.sha512.10000.')
    assert "(set, not shown)" in box.run("config", "show")
    assert "scrypt:" not in box.run("config", "show")
    with pytest.raises(UserError, match="a password has 1 to 64"):
        box.run("menu", "password", stdin="\n")


def test_a_check_tells_what_the_menu_will_lack(box: Box) -> None:
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
    box.configure(MENU)
    assert list(menu_warnings(load(box.data / "c.toml"))) == []


def nothing_running(box: Box) -> dict[str, object]:
    done = CliRunner().invoke(app, ["--config", str(box.data / "c.toml"), "status", "--json"])
    assert done.exit_code == 3
    facts: dict[str, object] = json.loads(done.stdout)
    return facts
