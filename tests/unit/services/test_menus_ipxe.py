"""Boot scripts, letter by letter; and what must never reach a line of one."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.menus.ipxe import LONGEST_COMMAND_LINE, LiveBoot, render

GOLDEN = Path(__file__).parent / "golden" / "live.ipxe"
BOOT = LiveBoot(
    "image/20260301-120000/vmlinuz",
    "image/20260301-120000/initrd.img",
    "boot=live netboot=nfs nfsroot=10.77.0.1:/srv/images/20260301-120000 BOOTIF=01-52-54-00-aa-bb-cc "
    "netboot_appliance.token=Zm9v_-1",
)


def test_the_script() -> None:
    assert render(BOOT) == GOLDEN.read_text()


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
    with pytest.raises(ValueError, match="cannot stand in an iPXE script"):
        render(replace(BOOT, command_line=f"quiet {word}"))
    with pytest.raises(ValueError, match="cannot stand in an iPXE script"):
        render(replace(BOOT, kernel=f"{word} x"))
    with pytest.raises(ValueError, match="cannot stand in an iPXE script"):
        render(replace(BOOT, initrd=f"x {word}"))


def test_the_command_line_is_bounded() -> None:
    fits = "a" * (LONGEST_COMMAND_LINE - len("initrd=initrd.img "))
    assert fits in render(replace(BOOT, command_line=fits))
    with pytest.raises(ValueError, match="2048 characters; 2047 fit"):
        render(replace(BOOT, command_line=fits + "a"))


@given(st.text(max_size=40))
def test_any_command_line_stays_one_command(text: str) -> None:
    try:
        script = render(replace(BOOT, command_line=text))
    except ValueError:
        return
    lines, golden = script.split("\n"), GOLDEN.read_text().split("\n")
    assert lines[:3] + lines[4:] == golden[:3] + golden[4:]
    assert lines[3] == f"kernel {BOOT.kernel} initrd=initrd.img {text} || goto retry"
