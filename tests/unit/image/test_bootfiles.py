"""Installing the boot loaders."""

import os
from pathlib import Path

import pytest

from image.bootfiles import PACKAGED as DEBIAN
from image.bootfiles import SHIM, BootFileError, Packaged, has_shim, install, with_followers
from services.linux import atomic_file
from tests.unit.debian import need_file

PACKAGED = ("undionly.kpxe", "snponly.efi")


Packages = dict[str, Packaged]


@pytest.fixture
def source(tmp_path: Path) -> Packages:
    """Stands in for Debian's package ipxe."""
    directory = tmp_path / "ipxe"
    directory.mkdir()
    (directory / "undionly.kpxe").write_bytes(b"BIOS")
    (directory / "snponly.efi").write_bytes(b"UEFI")
    return {name: Packaged(directory / name, "ipxe") for name in PACKAGED}


@pytest.fixture
def signed(source: Packages, tmp_path: Path) -> Packages:
    """The same with the shim chain, whose files have other names in their packages."""
    directory = tmp_path / "signed"
    directory.mkdir()
    for name in SHIM:
        (directory / f"{name}.signed").write_bytes(name.encode())
    return source | {name: Packaged(directory / f"{name}.signed", "shim-signed") for name in SHIM}


def test_both_files_are_installed_readable_by_everyone(source: Packages, tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        paths = install(tmp_path / "boot", PACKAGED, tmp_path / "own", source, write=atomic_file.write)
    finally:
        os.umask(before)
    assert {path.name: path.read_bytes() for path in paths} == {"undionly.kpxe": b"BIOS", "snponly.efi": b"UEFI"}
    assert {path.stat().st_mode & 0o777 for path in paths} == {0o644}
    assert sorted(path.name for path in (tmp_path / "boot").iterdir()) == ["snponly.efi", "undionly.kpxe"]


def test_an_unchanged_file_is_left_alone_and_a_changed_one_replaced(source: Packages, tmp_path: Path) -> None:
    bios, uefi = install(tmp_path / "boot", PACKAGED, tmp_path / "own", source, write=atomic_file.write)
    inodes = bios.stat().st_ino, uefi.stat().st_ino
    reader = uefi.open("rb")
    source["snponly.efi"].path.write_bytes(b"UEFI 2")
    install(tmp_path / "boot", PACKAGED, tmp_path / "own", source, write=atomic_file.write)
    assert bios.stat().st_ino == inodes[0]
    assert uefi.read_bytes() == b"UEFI 2"
    with reader:
        assert reader.read() == b"UEFI", "a running transfer must continue with the file it began"


def test_without_the_package_nothing_is_changed(source: Packages, tmp_path: Path) -> None:
    source["snponly.efi"].path.unlink()
    with pytest.raises(BootFileError, match=r"snponly\.efi is neither in .*/own nor in .*/ipxe") as caught:
        install(tmp_path / "boot", PACKAGED, tmp_path / "own", source, write=atomic_file.write)
    assert caught.value.hint == "install it: apt-get install ipxe"
    assert not (tmp_path / "boot").exists()


def test_a_root_that_is_a_file(source: Packages, tmp_path: Path) -> None:
    (tmp_path / "boot").write_text("")
    with pytest.raises(BootFileError, match="cannot write the boot files to"):
        install(tmp_path / "boot", PACKAGED, tmp_path / "own", source, write=atomic_file.write)


def test_an_own_loader_is_used_before_the_packaged_one(source: Packages, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "snponly.efi").write_bytes(b"signed")
    (own / "arm64.efi").write_bytes(b"ARM")
    (own / "other.efi").write_bytes(b"not asked for")
    paths = install(tmp_path / "boot", (*PACKAGED, "arm64.efi"), own, source, write=atomic_file.write)
    assert [path.read_bytes() for path in paths] == [b"BIOS", b"signed", b"ARM"]
    assert not (tmp_path / "boot" / "other.efi").exists()


def test_a_missing_own_loader_says_where_to_put_it(source: Packages, tmp_path: Path) -> None:
    with pytest.raises(BootFileError, match=r"arm64\.efi is neither in") as caught:
        install(tmp_path / "boot", (*PACKAGED, "arm64.efi"), tmp_path / "own", source, write=atomic_file.write)
    assert caught.value.hint.startswith("put it there")


def test_an_own_loader_that_cannot_be_read_is_not_skipped(source: Packages, tmp_path: Path) -> None:
    (tmp_path / "own" / "snponly.efi").mkdir(parents=True)
    with pytest.raises(BootFileError, match=r"cannot read the boot file .*: Is a directory"):
        install(tmp_path / "boot", PACKAGED, tmp_path / "own", source, write=atomic_file.write)


def test_the_shim_chain_is_copied_if_it_is_installed(signed: Packages, tmp_path: Path) -> None:
    root = tmp_path / "boot"
    paths = install(root, PACKAGED, tmp_path / "own", signed, write=atomic_file.write)
    assert [path.name for path in paths] == [*PACKAGED, *SHIM]
    assert (root / "grubx64.efi").read_bytes() == b"grubx64.efi"
    assert has_shim(root)


def test_half_a_shim_chain_is_not_copied(signed: Packages, tmp_path: Path) -> None:
    signed["grubx64.efi"].path.unlink()
    install(tmp_path / "boot", PACKAGED, tmp_path / "own", signed, write=atomic_file.write)
    assert not has_shim(tmp_path / "boot")


def test_a_configured_shim_needs_its_grub(signed: Packages, tmp_path: Path) -> None:
    signed["grubx64.efi"].path.unlink()
    with pytest.raises(BootFileError, match=r"grubx64\.efi is neither in"):
        install(tmp_path / "boot", ("shimx64.efi",), tmp_path / "own", signed, write=atomic_file.write)


def test_pxelinux_comes_with_its_modules() -> None:
    assert with_followers(("pxelinux.0", "snponly.efi", "pxelinux.0")) == (
        "pxelinux.0", "ldlinux.c32", "libcom32.c32", "libutil.c32", "menu.c32", "reboot.c32", "snponly.efi"
    )  # fmt: skip


@pytest.mark.parametrize("name", DEBIAN)
def test_debians_packages_have_them(name: str) -> None:
    need_file(DEBIAN[name].path, DEBIAN[name].package)
    assert DEBIAN[name].path.stat().st_size
