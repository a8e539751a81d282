"""Installing the boot loaders."""

import os
from pathlib import Path

import pytest

from image.bootfiles import SOURCE, BootFileError, install

PACKAGED = ("undionly.kpxe", "snponly.efi")


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
        paths = install(tmp_path / "boot", PACKAGED, tmp_path / "own", source)
    finally:
        os.umask(before)
    assert {path.name: path.read_bytes() for path in paths} == {"undionly.kpxe": b"BIOS", "snponly.efi": b"UEFI"}
    assert {path.stat().st_mode & 0o777 for path in paths} == {0o644}
    assert sorted(path.name for path in (tmp_path / "boot").iterdir()) == ["snponly.efi", "undionly.kpxe"]


def test_an_unchanged_file_is_left_alone_and_a_changed_one_replaced(source: Path, tmp_path: Path) -> None:
    bios, uefi = install(tmp_path / "boot", PACKAGED, tmp_path / "own", source)
    inodes = bios.stat().st_ino, uefi.stat().st_ino
    reader = uefi.open("rb")
    (source / "snponly.efi").write_bytes(b"UEFI 2")
    install(tmp_path / "boot", PACKAGED, tmp_path / "own", source)
    assert bios.stat().st_ino == inodes[0]
    assert uefi.read_bytes() == b"UEFI 2"
    with reader:
        assert reader.read() == b"UEFI", "a transfer under way must go on with the file it began"


def test_without_the_package_nothing_is_changed(source: Path, tmp_path: Path) -> None:
    (source / "snponly.efi").unlink()
    with pytest.raises(BootFileError, match=r"snponly\.efi is neither in .*/own nor in .*/ipxe") as caught:
        install(tmp_path / "boot", PACKAGED, tmp_path / "own", source)
    assert caught.value.hint == "install it: apt-get install ipxe"
    assert not (tmp_path / "boot").exists()


def test_a_root_that_is_a_file(source: Path, tmp_path: Path) -> None:
    (tmp_path / "boot").write_text("")
    with pytest.raises(BootFileError, match="cannot be written"):
        install(tmp_path / "boot", PACKAGED, tmp_path / "own", source)


def test_an_own_loader_is_taken_before_the_packaged_one(source: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "snponly.efi").write_bytes(b"signed")
    (own / "arm64.efi").write_bytes(b"ARM")
    (own / "other.efi").write_bytes(b"not asked for")
    paths = install(tmp_path / "boot", (*PACKAGED, "arm64.efi"), own, source)
    assert [path.read_bytes() for path in paths] == [b"BIOS", b"signed", b"ARM"]
    assert not (tmp_path / "boot" / "other.efi").exists()


def test_a_missing_own_loader_says_where_to_put_it(source: Path, tmp_path: Path) -> None:
    with pytest.raises(BootFileError, match=r"arm64\.efi is neither in") as caught:
        install(tmp_path / "boot", (*PACKAGED, "arm64.efi"), tmp_path / "own", source)
    assert caught.value.hint.startswith("put it there")


def test_an_own_loader_that_cannot_be_read_is_not_passed_over(source: Path, tmp_path: Path) -> None:
    (tmp_path / "own" / "snponly.efi").mkdir(parents=True)
    with pytest.raises(BootFileError, match="cannot be read: Is a directory"):
        install(tmp_path / "boot", PACKAGED, tmp_path / "own", source)


@pytest.mark.parametrize("name", PACKAGED)
def test_debians_package_has_them(name: str) -> None:
    assert (SOURCE / name).is_file()
