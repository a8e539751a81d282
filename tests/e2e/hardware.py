"""Hardware that a PC has beside the network card it boots from, as arguments for QEMU."""

from pathlib import Path

OTHER_CARD = ("-netdev", "hubport,id=n1,hubid=1", "-device", "virtio-net-pci,netdev=n1,mac=52:54:00:fe:fe:fe,romfile=")
"""A card with a link, on a network where nobody answers; its slot comes before that of the card the PC boots from."""


def ahci_disk(file: Path) -> tuple[str, ...]:
    """A disk on the chipset's SATA controller, with the content of `file`."""
    return _disk(file, "ide-hd")


def nvme_disk(file: Path) -> tuple[str, ...]:
    """An NVMe disk, with the content of `file`."""
    return _disk(file, "nvme,serial=office")


def _disk(file: Path, model: str) -> tuple[str, ...]:
    return ("-drive", f"if=none,id=d0,format=raw,file={file}", "-device", f"{model},drive=d0")
