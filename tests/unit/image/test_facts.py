"""What the heartbeat says about the PC, by the live system's own script."""

import subprocess
from pathlib import Path

from image import build

FACTS = build.TREE / "includes.chroot_after_packages/usr/lib/netboot-appliance/facts.sh"


def controllers(folder: Path) -> str:
    script = 'RUN=$2; interface() { echo none; }; . "$1"; storage "$3"'
    arguments = ["bash", "-c", script, "bash", str(FACTS), str(folder), str(folder / "devices")]
    return subprocess.run(arguments, capture_output=True, text=True, check=True).stdout


def plug(folder: Path, slot: str, kind: str, ident: str, driver: str = "") -> None:
    """A PCI device as sysfs shows it."""
    device = folder / "devices" / slot
    device.mkdir(parents=True)
    vendor, number = ident.split(":")
    for name, text in (("class", kind), ("vendor", f"0x{vendor}"), ("device", f"0x{number}")):
        (device / name).write_text(f"{text}\n")
    if driver:
        (device / "driver").symlink_to(f"../drivers/{driver}")


def test_disk_controllers_are_named_and_left_alone(tmp_path: Path) -> None:
    plug(tmp_path, "0000:00:17.0", "0x010601", "8086:a352")
    plug(tmp_path, "0000:00:1f.6", "0x020000", "8086:15bb", "e1000e")
    plug(tmp_path, "0000:01:00.0", "0x010802", "144d:a808", "nvme")
    assert controllers(tmp_path) == "SATA 8086:a352 (no driver), NVMe 144d:a808 (nvme)"


def test_a_pc_without_disks_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "devices").mkdir()
    assert controllers(tmp_path) == ""
