"""File names as firmware sends them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ethernet import MacAddress
from services.tftp.paths import BootPath, parse

MAC = MacAddress.parse("52:54:00:aa:bb:cc")


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("525400aabbcc/snponly.efi", BootPath(MAC, ("snponly.efi",))),
        ("/525400AABBCC//grub/x86_64-efi/grub.cfg", BootPath(MAC, ("grub", "x86_64-efi", "grub.cfg"))),
        ("525400aabbcc\\EFI\\boot.efi", BootPath(MAC, ("EFI", "boot.efi"))),
        ("./525400aabbcc/./x", BootPath(MAC, ("x",))),
        ("undionly.kpxe", BootPath(None, ("undionly.kpxe",))),
        ("525400aabbc/x", BootPath(None, ("525400aabbc", "x"))),
        ("525400aabbccd/x", BootPath(None, ("525400aabbccd", "x"))),
        ("x/525400aabbcc", BootPath(None, ("x", "525400aabbcc"))),
        ("525400aabbcc", BootPath(MAC, ())),
        ("", BootPath(None, ())),
        ("525400aabbcc/../x", BootPath(MAC, ("..", "x"))),
        ("525400aabbcc\\..\\..\\etc/passwd", BootPath(MAC, ("..", "..", "etc", "passwd"))),
    ],
)
def test_parses(name: str, path: BootPath) -> None:
    assert parse(name) == path


def test_events_show_the_path_below_the_root() -> None:
    assert str(parse("525400aabbcc//a\\b")) == "a/b"


@given(st.text())
def test_takes_any_name(name: str) -> None:
    for part in parse(name).parts:
        assert part not in ("", ".")
        assert "/" not in part
        assert "\\" not in part
