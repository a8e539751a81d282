"""PXELINUX configurations, word for word; and text that must never get into one."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.menus.menu import LiveBoot, Menu, MenuEntry, Program
from services.menus.pxelinux import render
from services.menus.script_text import LONGEST_COMMAND_LINE
from tests.unit.services.menus.test_grub import ALONE, BOINC, FULL, GOLDEN, LIVE, command_line


def script(menu: Menu) -> str:
    return render(menu, command_line)


def alone(line: str, live: LiveBoot = LIVE) -> str:
    return render(replace(ALONE, entries=(replace(BOINC, action=live),)), lambda _: line)


@pytest.mark.parametrize(("menu", "golden"), [(ALONE, "boinc.pxelinux.cfg"), (FULL, "menu.pxelinux.cfg")])
def test_the_configuration(menu: Menu, golden: str) -> None:
    assert script(menu) == (GOLDEN / golden).read_text()


def test_the_kernel_gets_microcode_and_the_ramdisk_in_one_line() -> None:
    with_microcode = replace(BOINC, action=replace(LIVE, microcode=True))
    text, without = (script(replace(ALONE, entries=(each,))) for each in (with_microcode, BOINC))
    images = LIVE.kernel.removesuffix("/vmlinuz")
    ramdisk = f"  initrd {images}/initrd.img\n"
    assert text == without.replace(ramdisk, f"  initrd {images}/microcode.img,{images}/initrd.img\n")
    assert ramdisk in without


def test_locked_entries_are_left_out_and_a_locked_default_is_replaced() -> None:
    assert "rescue" not in script(FULL)
    assert script(replace(FULL, default="rescue")) == script(FULL)
    with pytest.raises(ValueError, match="every entry of the menu is locked"):
        script(replace(ALONE, entries=(replace(BOINC, locked=True),)))


@pytest.mark.parametrize("word", ["a\nboot", "a\rb", "", "\u00e4", "a\tb", "a\0", "\x7f"])
def test_refuses_what_could_break_out_of_its_line(word: str) -> None:
    with pytest.raises(ValueError, match="is not allowed in a PXELINUX configuration"):
        alone(f"quiet {word}")
    for menu in (
        replace(ALONE, entries=(replace(BOINC, action=LiveBoot(f"{word} x")),)),
        replace(ALONE, entries=(replace(BOINC, title=word),)),
        replace(ALONE, entries=(replace(BOINC, name=f"{word} "),), default=f"{word} "),
        replace(FULL, title=word),
        replace(ALONE, entries=(BOINC, MenuEntry("m", "m", Program(f"{word} ", "")))),
    ):
        with pytest.raises(ValueError, match="is not allowed in a PXELINUX configuration"):
            script(menu)


@pytest.mark.parametrize("microcode", [False, True])
def test_the_command_line_is_bounded(microcode: bool) -> None:
    live = replace(LIVE, microcode=microcode)
    fits = "a" * (LONGEST_COMMAND_LINE - len(f"BOOT_IMAGE={LIVE.kernel}  initrd={','.join(live.initrds)}"))
    assert f"append {fits}\n" in alone(fits, live)
    with pytest.raises(ValueError, match="2048 characters; the limit is 2047"):
        alone(fits + "a", live)


@given(st.text(max_size=40))
def test_any_command_line_stays_one_line(text: str) -> None:
    try:
        lines = alone(text).split("\n")
    except ValueError:
        return
    golden = (GOLDEN / "boinc.pxelinux.cfg").read_text().split("\n")
    assert lines[:-2] == golden[:-2]
    assert lines[-2:] == [f"  append {text}", ""]
