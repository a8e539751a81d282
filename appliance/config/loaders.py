"""[boot]: which boot loader each kind of firmware gets, and where an administrator's own loaders are. PURE.

Values only: image/bootfiles.py finds and installs the files.
"""

import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from services.dhcp.machines import Machine
from services.menus.menu import Dialect

DEFAULT_DIRECTORY = Path("/etc/netboot-appliance/loaders")

# 64: an HTTP URL that contains it must fit the 127 bytes of `file` in the DHCP header.
_NAME = re.compile(r"(?!\.)[A-Za-z0-9._-]{1,64}")

SIGNED_LOADER = "shimx64.efi"
"""What firmware with Secure Boot starts; it then starts GRUB (image/bootfiles.py, SHIM)."""

_DIALECTS = {
    SIGNED_LOADER: Dialect.GRUB,
    "grubx64.efi": Dialect.GRUB,
    "pxelinux.0": Dialect.PXELINUX,
    "lpxelinux.0": Dialect.PXELINUX,
}


def dialect(name: str) -> Dialect:
    """What kind of script the loader with this file name reads; an unknown name counts as iPXE."""
    return _DIALECTS.get(name, Dialect.IPXE)


@dataclass(frozen=True)
class Loaders:
    """[boot.loaders]: a file name for each Machine. "" refuses firmware of that kind, and so does a file that the image
    lacks: Debian 12 has none for ARM64. `raspberry_pi` is a folder with the files that a Raspberry Pi asks for."""

    bios: str = "undionly.kpxe"
    uefi_ia32: str = ""
    uefi_x64: str = "snponly.efi"
    uefi_arm64: str = "ipxe-arm64.efi"
    raspberry_pi: str = ""

    def __post_init__(self) -> None:
        for machine, name in self.by_machine.items():
            if not _NAME.fullmatch(name):
                raise ValueError(
                    f"{machine}: must be a file name of at most 64 letters, digits and ._-, without a directory"
                )
            # EDK2's HTTP boot goes by the end of the URL to tell what it has loaded (HttpBootCheckImageType).
            if machine not in (Machine.BIOS, Machine.RASPBERRY_PI) and not name.endswith(".efi"):
                raise ValueError(f"{machine}: must end in .efi for UEFI")

    @cached_property
    def by_machine(self) -> dict[Machine, str]:
        """The file names that are not empty."""
        names = {machine: str(getattr(self, machine)) for machine in Machine}
        return {machine: name for machine, name in names.items() if name}


@dataclass(frozen=True)
class BootFiles:
    """[boot]: `directory` holds the administrator's own loaders, which are used before the image's of the same name.
    Read at start, like [server]."""

    directory: Path = DEFAULT_DIRECTORY
    loaders: Loaders = field(default_factory=Loaders)

    def __post_init__(self) -> None:
        if not self.directory.is_absolute():
            raise ValueError("directory: must be an absolute path")

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The files to serve, each once."""
        loaders = self.loaders.by_machine
        return tuple(dict.fromkeys(name for machine, name in loaders.items() if machine is not Machine.RASPBERRY_PI))

    @property
    def raspberry_pi(self) -> Path | None:
        """The folder with the files for Raspberry Pis; None if there is none."""
        return self.directory / self.loaders.raspberry_pi if self.loaders.raspberry_pi else None
