"""Installing the boot loaders."""

import os
from pathlib import Path

import pytest

from image import bootfiles
from image.bootfiles import BootFileError, install


@pytest.fixture
def source(tmp_path: Path) -> Path:
    directory = tmp_path / "ipxe"
    directory.mkdir()
    (directory / "undionly.kpxe").write_bytes(b"BIOS")
    (directory / "snponly.efi").write_bytes(b"UEFI")
    return directory


def test_both_files_are_installed_readable_for_all(source: Path, tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        paths = install(tmp_path / "boot", source)
    finally:
        os.umask(before)
    assert {path.name: path.read_bytes() for path in paths} == {"undionly.kpxe": b"BIOS", "snponly.efi": b"UEFI"}
    assert {path.stat().st_mode & 0o777 for path in paths} == {0o644}
    assert sorted(path.name for path in (tmp_path / "boot").iterdir()) == ["snponly.efi", "undionly.kpxe"]


def test_an_unchanged_file_is_left_alone_and_a_changed_one_replaced(source: Path, tmp_path: Path) -> None:
    bios, uefi = install(tmp_path / "boot", source)
    inodes = bios.stat().st_ino, uefi.stat().st_ino
    reader = uefi.open("rb")
    (source / "snponly.efi").write_bytes(b"UEFI 2")
    install(tmp_path / "boot", source)
    assert bios.stat().st_ino == inodes[0]
    assert uefi.read_bytes() == b"UEFI 2"
    with reader:
        assert reader.read() == b"UEFI", "a transfer under way must go on with the file it began"


def test_without_the_package_nothing_is_changed(source: Path, tmp_path: Path) -> None:
    (source / "snponly.efi").unlink()
    with pytest.raises(BootFileError, match=r"snponly\.efi cannot be read") as caught:
        install(tmp_path / "boot", source)
    assert caught.value.hint == "install it: apt-get install ipxe"
    assert not (tmp_path / "boot").exists()


def test_a_root_that_is_a_file(source: Path, tmp_path: Path) -> None:
    (tmp_path / "boot").write_text("")
    with pytest.raises(BootFileError, match="cannot be written"):
        install(tmp_path / "boot", source)


def test_the_files_are_those_the_boot_offers() -> None:
    assert bootfiles.BOOT_FILES == ("undionly.kpxe", "snponly.efi")
