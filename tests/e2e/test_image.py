"""The image that PCs boot: no module by which even root on a PC could reach disks, and all that network cards need."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from image.bootfiles import DIRECTORY, PACKAGED

FORBIDDEN = re.compile(
    r"/(?:ata|cdrom|comedi|cxl|dax|firewire|firmware|kvm|md|mei|memstick|message|mmc|mtd|nvdimm|nvme|nvmem|parport|"
    r"pcmcia|platform|scsi|spi|target|tpm|ufs|uio|vfio|vhost|ipmi|nfit|busses|storage|usbip|gadget|vmw_vsock|bluetooth)/"
    r"|/(?:vfio|uio|nd_|dax|device_dax|virtio_pmem|virtio_blk|virtio_scsi|efi[-_]pstore|efivarfs|pstore|ramoops|mtd|nvme|"
    r"ahci|libata|sd_mod|sr_mod|sg|usb-storage|uas|mmc|sdhci|rtsx|spi-|mei|i2c-dev|i2c-stub|nvram|msr|nbd|"
    r"dm-|dell_rbu|think-lmi|capsule-loader|ipmi|tpm|xen-blk|hv_storvsc|ext4|xfs|btrfs|vfat|ntfs3?|fuse|cifs)[^/]*\.ko"
)
"""Modules that drive disks or memory that outlives a restart, or that let programs drive devices."""


@pytest.fixture(scope="module")
def release(directory: Path) -> Path:
    """The release that the tests boot."""
    return (directory / "data" / "images" / "current").resolve()


@pytest.fixture(scope="module")
def squashfs(release: Path) -> list[str]:
    """The live system's files, as `ls -l` shows them."""
    listing = ["unsquashfs", "-lln", "-d", "", str(release / "live/filesystem.squashfs")]
    return subprocess.run(listing, capture_output=True, text=True, check=True).stdout.splitlines()


def test_the_live_system_has_no_driver_for_disks_nor_one_that_lets_programs_drive_them(squashfs: list[str]) -> None:
    modules = [line.split()[-1] for line in squashfs if line.endswith(".ko")]
    assert len(modules) > 500
    assert [module for module in modules if FORBIDDEN.search(module)] == []


def test_the_boot_loaders_are_beside_the_live_system_and_not_in_it(release: Path, squashfs: list[str]) -> None:
    files = json.loads((release / "manifest.json").read_text())["files"]
    wanted = {f"{DIRECTORY}/{name}" for name, file in PACKAGED.items() if file.everywhere}
    assert wanted <= files.keys()
    assert [line for line in squashfs if "netboot-loaders" in line] == []


def test_neither_has_the_initramfs(release: Path) -> None:
    modules = [name for name in initramfs(release / "initrd.img") if name.endswith(".ko")]
    assert len(modules) > 100
    assert [module for module in modules if FORBIDDEN.search(f"/{module}")] == []


def test_no_program_gives_its_user_more_rights(squashfs: list[str]) -> None:
    files = [line for line in squashfs if line.startswith("-")]
    assert len(files) > 5000
    assert [line for line in files if "s" in line.split()[0].lower()] == []


def test_the_network_cards_drivers_have_what_they_depend_on(release: Path, tmp_path: Path) -> None:
    command = ["unsquashfs", "-q", "-n", "-d", str(tmp_path / "root"), str(release / "live/filesystem.squashfs")]
    subprocess.run([*command, "usr/lib/modules"], capture_output=True, check=True)
    (modules,) = (tmp_path / "root/usr/lib/modules").iterdir()
    files = {path.stem.replace("-", "_"): path for path in modules.rglob("*.ko")}
    builtin = {Path(line).stem.replace("-", "_") for line in (modules / "modules.builtin").read_text().split()}
    needs = {name: needed(path) for name, path in files.items()}
    broken: set[str] = set()
    while more := {name for name in needs.keys() - broken if needs[name] - builtin - (files.keys() - broken)}:
        broken |= more
    cards = {name for name in broken if re.search("/drivers/net/(ethernet|usb)/", str(files[name]))}
    # b44 needs the drivers of SD cards, cnic is for disks on the network, hso and cdc_phonet are for telephones.
    assert {name for name in cards if not name.endswith("_cs")} == {"b44", "cnic", "hso", "cdc_phonet"}


def needed(module: Path) -> set[str]:
    """The names of the modules that a module depends on."""
    found = re.search(rb"\0depends=([^\0]*)\0", module.read_bytes())
    return {name.replace("-", "_") for name in found[1].decode().split(",") if name} if found else set()


def initramfs(image: Path) -> Iterator[str]:
    """The names in an initramfs: cpio's newc format, compressed by zstd."""
    archive = subprocess.run(["zstd", "-dcq", str(image)], capture_output=True, check=True).stdout
    at = 0
    while archive[at : at + 6] == b"070701":
        fields = [int(archive[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        size, length = fields[6], fields[11]
        name = archive[at + 110 : at + 110 + length - 1].decode()
        if name == "TRAILER!!!":
            return
        yield name
        at = (at + 110 + length + 3) // 4 * 4
        at = (at + size + 3) // 4 * 4
