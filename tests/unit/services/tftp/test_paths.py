"""File names as firmware sends them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ethernet import MacAddress
from services.menus.menu import Dialect
from services.tftp.paths import BootFile, BootPath, ImagePath, ScriptPath, parse

MAC = MacAddress.parse("52:54:00:aa:bb:cc")


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("525400aabbcc/snponly.efi", BootPath(MAC, BootFile(("snponly.efi",)))),
        ("525400aabbcc\\EFI\\boot.efi", BootPath(MAC, BootFile(("EFI", "boot.efi")))),
        ("./525400aabbcc/./x", BootPath(MAC, BootFile(("x",)))),
        ("undionly.kpxe", BootPath(None, BootFile(("undionly.kpxe",)))),
        ("525400aabbc/x", BootPath(None, BootFile(("525400aabbc", "x")))),
        ("525400aabbccd/x", BootPath(None, BootFile(("525400aabbccd", "x")))),
        ("x/525400aabbcc", BootPath(None, BootFile(("x", "525400aabbcc")))),
        ("525400aabbcc", BootPath(MAC, BootFile(()))),
        ("", BootPath(None, BootFile(()))),
        ("525400aabbcc/../x", BootPath(MAC, BootFile(("..", "x")))),
        ("525400aabbcc\\..\\..\\etc/passwd", BootPath(MAC, BootFile(("..", "..", "etc", "passwd")))),
        ("525400aabbcc/loader/x.efi", BootPath(MAC, BootFile(("x.efi",)))),
        ("/525400AABBCC//grub/grub.cfg", BootPath(MAC, ScriptPath(Dialect.GRUB))),
        ("/grub/grub.cfg", BootPath(None, ScriptPath(Dialect.GRUB))),
        ("/grub/x86_64-efi/grub.cfg", BootPath(None, BootFile(("grub", "x86_64-efi", "grub.cfg")))),
        ("525400aabbcc/pxelinux.cfg/01-52-54-00-aa-bb-cc", BootPath(MAC, ScriptPath(Dialect.PXELINUX))),
        ("pxelinux.cfg/01-52-54-00-aa-bb-cc", BootPath(MAC, ScriptPath(Dialect.PXELINUX))),
        (
            "000000000001/pxelinux.cfg/01-52-54-00-aa-bb-cc",
            BootPath(MacAddress(1), BootFile(("pxelinux.cfg", "01-52-54-00-aa-bb-cc"))),
        ),
        ("image/r/initrd.img", BootPath(None, ImagePath("r", "initrd.img"))),
        ("image/r/microcode.img", BootPath(None, ImagePath("r", "microcode.img"))),
        ("525400aabbcc//image/r/vmlinuz", BootPath(MAC, ImagePath("r", "vmlinuz"))),
        ("525400aabbcc/snponly.efi?", BootPath(MAC, BootFile(("snponly.efi",)), BootFile(("snponly.efi?",)))),
        (
            "525400aabbcc/snponly.efi \r\n?? ",
            BootPath(MAC, BootFile(("snponly.efi",)), BootFile(("snponly.efi \r\n?? ",))),
        ),
        ("525400aabbcc/x\x01\x7f?", BootPath(MAC, BootFile(("x",)), BootFile(("x\x01\x7f?",)))),
        (" \tx", BootPath(None, BootFile(("x",)), BootFile((" \tx",)))),
        (" 525400aabbcc/x", BootPath(MAC, BootFile(("x",)))),
        ("525400aabbcc?", BootPath(MAC, BootFile(()))),
        ("525400aabbcc/my loader.efi", BootPath(MAC, BootFile(("my loader.efi",)))),
        ("grub/grub.cfg?", BootPath(None, ScriptPath(Dialect.GRUB), BootFile(("grub", "grub.cfg?")))),
        (" ?", BootPath(None, BootFile(()), BootFile((" ?",)))),
        ("525400aabbcc/image/r/passwd", BootPath(MAC, BootFile(("image", "r", "passwd")))),
    ],
)
def test_parses(name: str, path: BootPath) -> None:
    assert parse(name) == path


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("525400aabbcc//a\\b", "a/b"),
        ("525400aabbcc/image/r/vmlinuz", "image/r/vmlinuz"),
        ("/grub/grub.cfg", "grub.cfg"),
        ("525400aabbcc/pxelinux.cfg/01-52-54-00-aa-bb-cc", "pxelinux.cfg"),
    ],
)
def test_events_show_what_was_asked_for(name: str, shown: str) -> None:
    assert str(parse(name)) == shown


def test_names_in_events_are_one_harmless_line() -> None:
    assert str(parse("a\x1b[2J\nserved b\u202e")) == "a\\x1b[2J\\nserved b\\u202e"
    assert len(str(parse("x" * 500))) == 255


@given(st.text())
def test_takes_any_name(name: str) -> None:
    target = parse(name).target
    for part in target.parts if isinstance(target, BootFile) else ():
        assert part not in ("", ".")
        assert "/" not in part
        assert "\\" not in part
