"""GRUB configurations, word for word and checked by GRUB itself; and text that must never get into one."""

import subprocess
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.menus.grub import render
from services.menus.menu import LiveBoot, LocalDisk, Menu, MenuEntry, Program, Reboot
from services.menus.script_text import LONGEST_COMMAND_LINE
from tests.unit.debian import need

GOLDEN = Path(__file__).parent / "golden"
SERVER = IPv4Address("10.77.0.1")
DIRECTORY = "525400aabbcc"
HASH = "grub.pbkdf2.sha512.10000.AB12.CD34"
RELEASE = "20260301-120000"
LINE = (
    f"boot=live netboot=nfs nfsroot=10.77.0.1:/srv/images/{RELEASE} BOOTIF=01-52-54-00-aa-bb-cc "
    "netboot_appliance.token=Zm9v_-1"
)
LIVE = LiveBoot(RELEASE)
BOINC = MenuEntry("boinc", "BOINC", LIVE)
ALONE = Menu("netboot-appliance", (BOINC,), "boinc")
FULL = Menu(
    "netboot-appliance",
    (
        BOINC,
        MenuEntry("local", "Local disk", LocalDisk()),
        MenuEntry("rescue", "Rescue shell", LiveBoot(RELEASE, rescue=True), locked=True),
        MenuEntry("memtest", "Memory test", Program("loader/memtest.bin", "loader/memtest.efi")),
        MenuEntry("reboot", "Restart", Reboot()),
    ),
    "boinc",
    10,
)


def command_line(boot: LiveBoot) -> str:
    return "boot=live toram rescue" if boot.rescue else LINE


def script(menu: Menu, password: str = "", line: str = "") -> str:
    return render(menu, DIRECTORY, SERVER, (lambda _: line) if line else command_line, password)


@pytest.mark.parametrize(
    ("menu", "password", "golden"), [(ALONE, "", "boinc.grub.cfg"), (FULL, HASH, "locked.grub.cfg")]
)
def test_the_configuration(menu: Menu, password: str, golden: str, tmp_path: Path) -> None:
    text = script(menu, password)
    assert text == (GOLDEN / golden).read_text()
    path = tmp_path / "grub.cfg"
    path.write_text(text)
    need("grub-script-check")
    subprocess.run(["grub-script-check", path], check=True)


def test_the_kernel_gets_microcode_and_the_ramdisk_in_one_command() -> None:
    with_microcode = replace(BOINC, action=replace(LIVE, microcode=True))
    text, without = (script(replace(ALONE, entries=(each,))) for each in (with_microcode, BOINC))
    images = f"(tftp,{SERVER})/{DIRECTORY}/image/{RELEASE}"
    ramdisk = f"if initrd {images}/initrd.img; then\n"
    assert text == without.replace(ramdisk, f"if initrd {images}/microcode.img {images}/initrd.img; then\n")
    assert ramdisk in without


def test_locked_entries_are_left_out_without_a_password() -> None:
    assert "rescue" not in script(FULL)
    assert "superusers" not in script(FULL)


def test_a_password_must_be_a_hash() -> None:
    for password in ("secret", HASH + "\nreboot", HASH + " x", "grub.pbkdf2.sha512.10000.AB12"):
        with pytest.raises(ValueError, match="not a hash"):
            script(FULL, password)


def test_words_that_mean_something_to_grub_are_quoted() -> None:
    text = script(ALONE, line="a=$b a;b {x} <y> [z]* a|b #c !d ~e")
    assert " 'a=$b' 'a;b' '{x}' '<y>' '[z]*' 'a|b' '#c' '!d' ~e;" in text


@pytest.mark.parametrize("word", ["a\nboot", "a\rb", "a'b", 'a"b', "a\\", "", "\u00e4", "a\tb", "a\0"])
def test_refuses_what_could_break_out_of_its_line(word: str) -> None:
    with pytest.raises(ValueError, match="is not allowed in a GRUB configuration"):
        script(ALONE, line=f"quiet {word}")
    for menu in (
        replace(ALONE, entries=(replace(BOINC, action=LiveBoot(f"x{word}'")),)),
        replace(ALONE, entries=(replace(BOINC, title=word),)),
        replace(ALONE, entries=(replace(BOINC, name=f"{word}'"),), default=f"{word}'"),
        replace(ALONE, entries=(BOINC, MenuEntry("m", "m", Program("", f"{word}'")))),
    ):
        with pytest.raises(ValueError, match="is not allowed in a GRUB configuration"):
            script(menu)


def test_the_command_line_is_bounded() -> None:
    image = f"BOOT_IMAGE=(tftp,{SERVER})/{DIRECTORY}/{LIVE.kernel} "
    fits = "a" * (LONGEST_COMMAND_LINE - len(image))
    assert fits in script(ALONE, line=fits)
    with pytest.raises(ValueError, match="2048 characters; the limit is 2047"):
        script(ALONE, line=fits + "a")


@given(st.text(max_size=40))
def test_any_command_line_stays_one_command(text: str) -> None:
    try:
        lines = render(ALONE, DIRECTORY, SERVER, lambda _: text).split("\n")
    except ValueError:
        return
    golden = (GOLDEN / "boinc.grub.cfg").read_text().split("\n")
    at = next(n for n, line in enumerate(golden) if "if linux" in line)
    assert lines[:at] + lines[at + 1 :] == golden[:at] + golden[at + 1 :]
    assert "'" not in text
    assert lines[at].replace("'", "") == f"  if linux (tftp,{SERVER})/{DIRECTORY}/{LIVE.kernel} {text}; then"
