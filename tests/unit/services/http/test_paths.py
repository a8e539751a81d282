"""What request paths ask for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ethernet import MacAddress
from services.http.paths import (
    Archive,
    BootUrl,
    EntryScript,
    ExchangeUrl,
    HeartbeatUrl,
    ImageUrl,
    LiveArchiveUrl,
    LiveListUrl,
    LoaderFile,
    ReportUrl,
    ScriptUrl,
    Unknown,
    parse,
)

MAC = MacAddress.parse("52:54:00:aa:bb:cc")
BOOT = "/boot/525400aabbcc/"


@pytest.mark.parametrize(
    ("path", "url"),
    [
        (BOOT + "boot.ipxe", BootUrl(MAC, ScriptUrl())),
        (BOOT + "boot.ipxe?x=1", BootUrl(MAC, ScriptUrl())),
        ("http://10.77.0.1" + BOOT + "boot.ipxe", BootUrl(MAC, ScriptUrl())),
        ("HTTP://box.example:8080" + BOOT + "Zm9v_-1/report?x=http://a/b", BootUrl(MAC, ReportUrl("Zm9v_-1"))),
        ("/boot/525400AABBCC/boot.ipxe", BootUrl(MAC, ScriptUrl())),
        (BOOT + "image/2026-03-01_a.b/vmlinuz", BootUrl(MAC, ImageUrl("2026-03-01_a.b", "vmlinuz"))),
        (
            BOOT + "menu/image-20260301-120000-0123abcd.ipxe",
            BootUrl(MAC, EntryScript("image-20260301-120000-0123abcd")),
        ),
        (BOOT + "loader/snponly.efi", BootUrl(MAC, LoaderFile("snponly.efi"))),
        (BOOT + "image/r/initrd.img", BootUrl(MAC, ImageUrl("r", "initrd.img"))),
        (BOOT + "image/r/microcode.img", BootUrl(MAC, ImageUrl("r", "microcode.img"))),
        (BOOT + "image/r/live/filesystem.squashfs", BootUrl(MAC, ImageUrl("r", "live/filesystem.squashfs"))),
        (BOOT + "image/r/live/recipe.squashfs", BootUrl(MAC, ImageUrl("r", "live/recipe.squashfs"))),
        (BOOT + "Zm9v_-1/live", BootUrl(MAC, LiveListUrl("Zm9v_-1"))),
        (BOOT + f"Zm9v_-1/live/{'0a' * 32}.tar", BootUrl(MAC, LiveArchiveUrl("Zm9v_-1", "0a" * 32))),
        (BOOT + "Zm9v_-1/boinc.tar", BootUrl(MAC, Archive("Zm9v_-1"))),
        (BOOT + "Zm9v_-1/report", BootUrl(MAC, ReportUrl("Zm9v_-1"))),
        (BOOT + "Zm9v_-1/exchange", BootUrl(MAC, ExchangeUrl("Zm9v_-1"))),
        (BOOT + "Zm9v_-1/heartbeat", BootUrl(MAC, HeartbeatUrl("Zm9v_-1"))),
        *(
            (BOOT + rest, BootUrl(MAC, Unknown()))
            for rest in (
                "",
                "boot.ipxe/",
                "loader/",
                "loader/.new-x",
                "loader/../x",
                "loader/a/b",
                "menu/.ipxe",
                "menu/a/b.ipxe",
                "menu/local",
                "snponly.efi",
                "image/r/filesystem.squashfs",
                "image/r/live/../live/filesystem.squashfs",
                "image/r/live/vmlinuz",
                "image/r/live/.squashfs",
                "image/r/live/a/b.squashfs",
                "image/r/live/filesystem.module",
                "image/r/live",
                "image/../vmlinuz",
                "image/./vmlinuz",
                "image/.hidden/vmlinuz",
                "image/r/../r/vmlinuz",
                "image/%2e%2e/vmlinuz",
                "image//vmlinuz",
                "image/r/vmlinuz%00",
                "image/r/vmlinuz\n",
                "a.b/boinc.tar",
                "a/live/",
                "a/live/0a.tar",
                f"a/live/{'0A' * 32}.tar",
                f"a/live/{'0a' * 32}.tar/..",
                "/boinc.tar",
                "x" * 200 + "/report",
            )
        ),
        *(
            (path, BootUrl(None, Unknown()))
            for path in (
                "",
                "/",
                "*",
                "http://box",
                "http://box?" + BOOT + "boot.ipxe",
                "ftp://box" + BOOT + "boot.ipxe",
                "/boot/",
                "/boot/52:54:00:aa:bb:cc/boot.ipxe",
                "//boot/525400aabbcc/boot.ipxe",
            )
        ),
        ("/boot/525400aabbcc", BootUrl(None, Unknown())),
    ],
)
def test_parses(path: str, url: BootUrl) -> None:
    assert parse(path) == url


def test_no_token_is_logged() -> None:
    for path in (
        "T0ken/boinc.tar",
        "T0ken/live",
        f"T0ken/live/{'0a' * 32}.tar",
        "T0ken/report",
        "T0ken/exchange",
        "T0ken/heartbeat",
        "T0ken/boinc.tar.gz",
    ):
        assert "T0ken" not in str(parse(BOOT + path).target)


@given(st.text())
def test_takes_any_path(path: str) -> None:
    assert isinstance(parse(path), BootUrl)
    assert isinstance(parse(BOOT + path).target, ScriptUrl | LoaderFile | ImageUrl | Archive | ReportUrl | Unknown)
