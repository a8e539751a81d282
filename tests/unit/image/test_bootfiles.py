"""Which boot files there are, and how they get in place."""

import os
from pathlib import Path

import pytest

from image import build
from image.bootfiles import (
    MEMTEST,
    PACKAGED,
    PACKAGES,
    SHIM,
    BootFileError,
    has_memtest,
    has_shim,
    install,
    offered,
    original,
    with_followers,
)
from services.linux import atomic_file

NAMES = ("undionly.kpxe", "snponly.efi")
MINE = "snponly-shimx64.efi"


def make(directory: Path, *names: str, content: str = "") -> dict[str, Path]:
    """Files that say whose they are and what they are called."""
    directory.mkdir(parents=True, exist_ok=True)
    for name in names:
        (directory / name).write_text(content or f"{directory.name}'s {name}")
    return {name: directory / name for name in names}


@pytest.fixture
def debian(tmp_path: Path) -> dict[str, Path]:
    """What the image of Debian 12 has."""
    return make(tmp_path / "debian", *(name for name, file in PACKAGED.items() if file.everywhere))


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """The administrator's own loaders."""
    return tmp_path / "own"


def served(tmp_path: Path, names: tuple[str, ...], own: Path, debian: dict[str, Path]) -> dict[str, str]:
    """What is in place after an installation."""
    install(tmp_path / "boot", names, own, debian, write=atomic_file.write)
    return {path.name: path.read_text() for path in (tmp_path / "boot").iterdir()}


def test_the_configured_loaders_are_installed_with_the_signed_chain_and_memtest(
    debian: dict[str, Path], own: Path, tmp_path: Path
) -> None:
    before = os.umask(0o077)
    try:
        found = served(tmp_path, NAMES, own, debian)
    finally:
        os.umask(before)
    assert found == {name: f"debian's {name}" for name in (*NAMES, *SHIM, *MEMTEST)}
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "boot").iterdir()} == {0o644}
    assert has_shim(tmp_path / "boot")
    assert has_memtest(tmp_path / "boot")


def test_an_unchanged_file_is_left_alone_and_a_changed_one_replaced(
    debian: dict[str, Path], own: Path, tmp_path: Path
) -> None:
    served(tmp_path, NAMES, own, debian)
    bios, uefi = (tmp_path / "boot" / name for name in NAMES)
    inode = bios.stat().st_ino
    with uefi.open() as reader:
        debian["snponly.efi"].write_text("of the next image")
        assert served(tmp_path, NAMES, own, debian)["snponly.efi"] == "of the next image"
        assert reader.read() == "debian's snponly.efi", "a running transfer must continue with the file it began"
    assert bios.stat().st_ino == inode


def test_what_the_image_lacks_stays_as_it_is(debian: dict[str, Path], own: Path, tmp_path: Path) -> None:
    before = served(tmp_path, NAMES, own, debian)
    assert served(tmp_path, NAMES, own, {"snponly.efi": debian["snponly.efi"]}) == before
    assert served(tmp_path / "fresh", NAMES, own, {}) == {}


def test_a_root_that_is_a_file(debian: dict[str, Path], own: Path, tmp_path: Path) -> None:
    (tmp_path / "boot").write_text("")
    with pytest.raises(BootFileError, match="cannot write the boot files to"):
        served(tmp_path, NAMES, own, debian)


def test_an_own_loader_comes_before_that_of_the_image(debian: dict[str, Path], own: Path, tmp_path: Path) -> None:
    make(own, "snponly.efi", "mine.efi", "not-asked-for.efi")
    found = served(tmp_path, (*NAMES, "mine.efi"), own, debian)
    assert (found["snponly.efi"], found["mine.efi"]) == ("own's snponly.efi", "own's mine.efi")
    assert "not-asked-for.efi" not in found


def test_a_missing_own_loader_says_where_to_put_it(debian: dict[str, Path], own: Path, tmp_path: Path) -> None:
    with pytest.raises(BootFileError, match=r"mine\.efi is neither in .*/own nor in the image") as caught:
        served(tmp_path, (*NAMES, "mine.efi"), own, debian)
    assert caught.value.hint.startswith("put it there")
    assert not (tmp_path / "boot").exists(), "nothing was changed"


def test_an_own_loader_that_cannot_be_read_is_not_skipped(debian: dict[str, Path], own: Path, tmp_path: Path) -> None:
    (own / "snponly.efi").mkdir(parents=True)
    with pytest.raises(BootFileError, match=r"cannot read the boot file .*: Is a directory"):
        served(tmp_path, NAMES, own, debian)


def test_pxelinux_comes_with_its_modules() -> None:
    assert with_followers(("pxelinux.0", "snponly.efi", "pxelinux.0")) == (
        "pxelinux.0", "ldlinux.c32", "libcom32.c32", "libutil.c32", "menu.c32", "reboot.c32", "snponly.efi"
    )  # fmt: skip


def test_ipxes_shim_comes_with_the_ipxe_that_it_starts(debian: dict[str, Path], own: Path, tmp_path: Path) -> None:
    """It asks for ipxe.efi where the firmware does not tell it its own name, whichever it is (ipxe#1684)."""
    make(own, MINE, "snponly.efi", "ipxe.efi")
    found = served(tmp_path, (MINE,), own, debian)
    assert found["snponly.efi"] == found["ipxe.efi"] == "own's snponly.efi"
    make(own, "ipxe-shimx64.efi")
    assert served(tmp_path, ("ipxe-shimx64.efi",), own, debian)["ipxe.efi"] == "own's ipxe.efi"


def test_ipxes_shim_does_not_get_debians_unsigned_ipxe(debian: dict[str, Path], own: Path, tmp_path: Path) -> None:
    make(own, MINE)
    with pytest.raises(
        BootFileError, match=r"snponly\.efi is not in .*/own: snponly-shimx64\.efi starts only the signed"
    ):
        served(tmp_path, (MINE,), own, debian)
    assert original("snponly.efi", NAMES, own, debian) == b"debian's snponly.efi"


def test_a_release_offers_its_own_loaders_and_an_old_one_those_of_this_machine(tmp_path: Path) -> None:
    machine = tmp_path / "machine"
    (machine / "usr/lib/ipxe").mkdir(parents=True)
    make(machine / "usr/lib/ipxe", "snponly.efi")
    assert offered(tmp_path / "old", machine) == {"snponly.efi": machine / "usr/lib/ipxe/snponly.efi"}
    assert offered(None, machine) == offered(tmp_path / "old", machine)
    new = make(tmp_path / "new" / "loaders", "undionly.kpxe")
    assert offered(tmp_path / "new", machine) == new


def test_the_build_fetches_the_packages_that_have_them() -> None:
    hook = (build.TREE / "hooks/loaders").read_text()
    assert f"apt-get download {' '.join(PACKAGES)}\n" in hook
