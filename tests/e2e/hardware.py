"""Hardware that a PC has beside the network card it boots from, as arguments for QEMU."""

import shutil
from pathlib import Path

OTHER_CARD = ("-netdev", "hubport,id=n1,hubid=1", "-device", "virtio-net-pci,netdev=n1,mac=52:54:00:fe:fe:fe,romfile=")
"""A card with a link, on a network where nobody answers; its slot comes before that of the card the PC boots from."""

_BOOT_CODE = bytes.fromhex("fa31c08ed8be227cac84c0741288c4bafd03eca82074f8baf80388e0eeebe9f4ebfd")
"""For 16 bits, at 0x7c00: sends what follows to the serial port, byte by byte, until one is 0; then it halts."""


def boot_code(words: str) -> bytes:
    """What a BIOS runs of a disk that begins with it, which says `words` on the serial line. It leaves room for a
    partition table; the disk's first sector has to end in 55 AA."""
    code = _BOOT_CODE + words.encode("ascii") + b"\0"
    assert len(code) <= 440
    return code


def office_disk(directory: Path, words: str) -> Path:
    """A disk for a BIOS that says `words` when it is started."""
    disk = directory / "office.img"
    disk.write_bytes(boot_code(words).ljust(510, b"\0") + b"\x55\xaa" + bytes(1 << 20))
    return disk


def office_directory(directory: Path, words: str) -> Path:
    """What a disk for UEFI holds that says `words` when it is started: Debian's GRUB, and its orders."""
    grub = directory / "EFI" / "BOOT" / "BOOTX64.EFI"
    grub.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile("/usr/lib/grub/x86_64-efi-signed/gcdx64.efi.signed", grub)
    for place in ("EFI/debian", "boot/grub"):
        (directory / place).mkdir(parents=True, exist_ok=True)
        (directory / place / "grub.cfg").write_text(f"echo {words}\nsleep 600\n")
    return directory


def fat_disk(directory: Path) -> tuple[str, ...]:
    """A virtio disk with one FAT file system, which QEMU makes of the files in `directory`."""
    drive = f"if=none,id=d0,format=raw,readonly=on,file=fat:{directory}"
    return ("-drive", drive, "-device", "virtio-blk-pci,drive=d0,bootindex=2")


def ahci_disk(file: Path) -> tuple[str, ...]:
    """A disk on the chipset's SATA controller, with the content of `file`."""
    return _disk(file, "ide-hd")


def nvme_disk(file: Path) -> tuple[str, ...]:
    """An NVMe disk, with the content of `file`."""
    return _disk(file, "nvme,serial=office")


def _disk(file: Path, model: str) -> tuple[str, ...]:
    return ("-drive", f"if=none,id=d0,format=raw,file={file}", "-device", f"{model},drive=d0")
