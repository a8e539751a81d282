"""Boot scripts of iPXE, word for word; and text that must never get into one."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ethernet import MacAddress
from services.menus.ipxe import render, render_autoexec, render_entry
from services.menus.menu import Action, LiveBoot, LocalDisk, Menu, MenuEntry, Program, Reboot
from services.menus.script_text import LONGEST_COMMAND_LINE

GOLDEN = Path(__file__).parent / "golden"
BASE = "http://10.77.0.1:8080/boot/525400aabbcc/"
RELEASE = "20260301-120000"
LINE = (
    f"boot=live netboot=nfs nfsroot=10.77.0.1:/srv/images/{RELEASE} BOOTIF=01-52-54-00-aa-bb-cc "
    "netboot_appliance.token=Zm9v_-1"
)
BOOT = LiveBoot(RELEASE)
LIVE = MenuEntry("boinc", "BOINC (image 20260301-120000)", BOOT)
LOCAL = MenuEntry("local", "Local disk", LocalDisk())
MEMTEST = MenuEntry("memtest", "Memory test", Program("loader/memtest", "loader/memtest.efi"))
REBOOT = MenuEntry("reboot", "Restart", Reboot())
OLD = MenuEntry("image:20260201-120000-0123abcd", "BOINC (image 20260201-120000-0123abcd)", BOOT)
RESCUE = MenuEntry("rescue", "Rescue shell", LiveBoot(RELEASE, rescue=True), locked=True)


def command_line(boot: LiveBoot) -> str:
    return f"{LINE} init=/bin/bash" if boot.rescue else LINE


def alone(entry: MenuEntry) -> Menu:
    return Menu("netboot-appliance", (entry,), entry.name)


def live(boot: LiveBoot, line: str = LINE) -> str:
    return render(alone(replace(LIVE, action=boot)), BASE, lambda _: line)


@pytest.mark.parametrize(
    ("name", "entry"), [("live", LIVE), ("local", LOCAL), ("memtest", MEMTEST), ("reboot", REBOOT)]
)
def test_the_default_boots_without_a_menu(name: str, entry: MenuEntry) -> None:
    assert render(alone(entry), BASE, command_line) == (GOLDEN / f"{name}.ipxe").read_text()


def test_microcode_is_fetched_before_the_ramdisk_and_named_before_it() -> None:
    script = live(replace(BOOT, microcode=True))
    assert script == (GOLDEN / "microcode.ipxe").read_text()
    chosen = render_entry(replace(RESCUE, action=replace(BOOT, microcode=True)), BASE, command_line)
    for name in ("microcode.img", "initrd.img"):
        assert f"\ninitrd --name {name} {BASE}image/{RELEASE}/{name} || goto retry\n" in chosen


def test_a_menu_without_a_timeout_starts_its_default() -> None:
    menu = Menu("netboot-appliance", (RESCUE, LIVE, LOCAL), "boinc")
    assert render(menu, BASE, command_line) == render(alone(LIVE), BASE, command_line)


def test_a_menu() -> None:
    menu = Menu("netboot-appliance", (LIVE, OLD, LOCAL, REBOOT), "boinc", timeout=10)
    assert render(menu, BASE, command_line) == (GOLDEN / "menu.ipxe").read_text()


def test_a_menu_shows_only_the_titles_of_locked_entries() -> None:
    memtest = replace(MEMTEST, locked=True)
    script = render(Menu("netboot-appliance", (LIVE, memtest, RESCUE), "boinc", timeout=5), BASE, command_line)
    assert script == (GOLDEN / "locked.ipxe").read_text()
    for secret in ("init=", "token", "memtest.efi", "vmlinuz"):
        assert secret not in script


@pytest.mark.parametrize(("name", "entry"), [("rescue", RESCUE), ("memtest", MEMTEST), ("local", LOCAL)])
def test_a_chosen_entry(name: str, entry: MenuEntry) -> None:
    assert render_entry(entry, BASE, command_line) == (GOLDEN / f"chosen-{name}.ipxe").read_text()


def test_a_signed_ipxe_fetches_the_shim_that_vouches_for_the_kernel() -> None:
    """Last of all: iPXE leaves it out if the kernel that it has needs none. Where there is no such command, or no such
    file, it boots all the same."""
    shim = "loader/shimx64.efi"
    started, chosen = render(alone(LIVE), BASE, command_line, shim), render_entry(RESCUE, BASE, command_line, shim)
    for script, base in ((started, ""), (chosen, BASE)):
        assert re.search(rf"\ninitrd [^\n]+\nshim {base}{shim} \|\|\necho [^\n]+\nboot \|\| goto retry\n", script)
    for other in (LOCAL, MEMTEST, REBOOT):
        assert "shim" not in render(alone(other), BASE, command_line, shim)


def test_the_script_that_ipxe_begins_with() -> None:
    script = render_autoexec(MacAddress.parse("52:54:00:aa:bb:cc"), f"{BASE}boot.ipxe")
    assert script == (GOLDEN / "autoexec.ipxe").read_text()


@pytest.mark.parametrize(
    "word",
    [
        "a\nboot",
        "a\rb",
        "${net0/mac}",
        "a\\",
        "#comment",
        ";",
        "||",
        "&&",
        'a"b',
        "a'b",
        "`x`",
        "",
        "\u00e4",
        "a\tb",
        "a\0",
    ],
)
def test_refuses_what_could_break_out_of_its_line(word: str) -> None:
    with pytest.raises(ValueError, match="is not allowed in an iPXE script"):
        live(BOOT, f"quiet {word}")
    with pytest.raises(ValueError, match="is not allowed in an iPXE script"):
        live(LiveBoot(f"{word} x"))
    menu = Menu("menu", (LIVE, replace(LOCAL, title=f"{word}")), "boinc", timeout=5)
    with pytest.raises(ValueError, match="is not allowed in an iPXE script"):
        render(menu, BASE, command_line)
    with pytest.raises(ValueError, match="is not allowed in an iPXE script"):
        render(replace(menu, entries=(LIVE, replace(LOCAL, name=f"x{word} "))), BASE, command_line)
    with pytest.raises(ValueError, match="is not allowed in an iPXE script"):
        render(replace(menu, entries=(LIVE, LOCAL), title=word), BASE, command_line)
    actions: tuple[Action, ...] = (Program(f"x{word} ", "loader/x.efi"), Program("loader/x", f"x{word} "))
    for action in actions:
        with pytest.raises(ValueError, match="is not allowed in an iPXE script"):
            render_entry(replace(MEMTEST, action=action), BASE, command_line)


@pytest.mark.parametrize("microcode", [False, True])
def test_the_command_line_is_bounded(microcode: bool) -> None:
    boot = replace(BOOT, microcode=microcode)
    added = "initrd=microcode.img initrd=initrd.img " if microcode else "initrd=initrd.img "
    fits = "a" * (LONGEST_COMMAND_LINE - len(added))
    assert f" {added}{fits} " in live(boot, fits)
    with pytest.raises(ValueError, match="2048 characters; the limit is 2047"):
        live(boot, fits + "a")


@given(st.text(max_size=40))
def test_any_command_line_stays_one_command(text: str) -> None:
    try:
        script = live(BOOT, text)
    except ValueError:
        return
    lines, golden = script.split("\n"), (GOLDEN / "live.ipxe").read_text().split("\n")
    assert lines[:3] + lines[4:] == golden[:3] + golden[4:]
    assert lines[3] == f"kernel {BOOT.kernel} initrd=initrd.img {text} || goto retry"
