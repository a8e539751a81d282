"""What a TFTP file name means: the MAC address it claims, and the file it asks for. PURE.

Firmware writes backslashes instead of slashes (shim#300), doubles them and starts with them (GRUB). Nothing is resolved
here: a `..` stays in the path, and opening the file refuses it.
"""

import re
from dataclasses import dataclass, replace

from services.ethernet import MacAddress
from services.foreign_text import printable
from services.menus.menu import Dialect

# As over HTTP: no hidden directories, which belong to builds in progress.
_RELEASE = re.compile(r"(?!\.)[A-Za-z0-9._-]{1,128}")
_LONGEST_SHOWN = 255
_JUNK = "? \x7f\xff" + "".join(map(chr, range(32)))
_CLAIM = re.compile(r"[0-9A-Fa-f]{12}")
# 01 is the hardware type, Ethernet; PXELINUX writes the address in lower case.
_PXELINUX_MAC = re.compile(r"01-([0-9A-Fa-f]{2}(?:-[0-9A-Fa-f]{2}){5})")


@dataclass(frozen=True, slots=True)
class BootFile:
    """A file below the boot root."""

    parts: tuple[str, ...]

    def __str__(self) -> str:
        return "/".join(self.parts)


@dataclass(frozen=True, slots=True)
class ScriptPath:
    """The script that tells a loader what to boot; made on request."""

    dialect: Dialect

    def __str__(self) -> str:
        return "grub.cfg" if self.dialect is Dialect.GRUB else "pxelinux.cfg"


@dataclass(frozen=True, slots=True)
class ImagePath:
    """The kernel or a ramdisk of a release, with the same path as over HTTP."""

    release: str
    file: str

    def __str__(self) -> str:
        return f"image/{self.release}/{self.file}"


@dataclass(frozen=True, slots=True)
class AutoexecPath:
    """The script that iPXE looks for beside itself when it starts; made on request."""

    def __str__(self) -> str:
        return "autoexec.ipxe"


Target = BootFile | ScriptPath | ImagePath | AutoexecPath


@dataclass(frozen=True, slots=True)
class BootPath:
    """`claimed` is the first component if that is twelve hexadecimal digits, else the address that PXELINUX writes into
    the name of its configuration, else None. `as_sent` is what the name means with what may be junk, if it has some: a
    file of that very name comes first."""

    claimed: MacAddress | None
    target: Target
    as_sent: BootFile | None = None

    def __str__(self) -> str:
        """What was asked for, as shown in events."""
        return printable(str(self.target), _LONGEST_SHOWN)


def parse(name: str) -> BootPath:
    """Read a name as sent, where `?` stands for a byte that is not ASCII; never fails.

    DHCP servers append to it what ends a string elsewhere, and firmware sends that too: 0xFF, the end of the options,
    blanks and control characters. Blanks in front come from whoever typed the name into a DHCP server.
    """
    clean = name.lstrip(" \t").rstrip(_JUNK)
    path = _parse(clean)
    if clean == name:
        return path
    match _parse(name):
        case BootPath(path.claimed, BootFile() as as_sent):
            return replace(path, as_sent=as_sent)
    return path


def _parse(name: str) -> BootPath:
    parts = tuple(part for part in name.replace("\\", "/").split("/") if part not in ("", "."))
    claimed = None
    if parts and _CLAIM.fullmatch(parts[0]):
        claimed, parts = MacAddress.parse(parts[0]), parts[1:]
    if len(parts) >= 2 and parts[-2] == "pxelinux.cfg" and (found := _PXELINUX_MAC.fullmatch(parts[-1])):
        own = MacAddress.parse(found[1])
        if claimed in (None, own):
            return BootPath(own, ScriptPath(Dialect.PXELINUX))
    return BootPath(claimed, _target(parts))


def _target(parts: tuple[str, ...]) -> Target:
    match parts:
        case ("image", release, ("vmlinuz" | "microcode.img" | "initrd.img") as file) if _RELEASE.fullmatch(release):
            return ImagePath(release, file)
        # Beside the loader, or at the top where firmware does not say where the loader came from.
        case ("autoexec.ipxe",):
            return AutoexecPath()
        case ("loader", file):
            return BootFile((file,))
        # Debian's GRUB asks for /grub/x86_64-efi/grub.cfg first and, if it is there, reads no other; other builds ask
        # for /EFI/debian/grub.cfg or for one beside themselves.
        case (*before, "grub.cfg") if "x86_64-efi" not in before and ".." not in before:
            return ScriptPath(Dialect.GRUB)
    return BootFile(parts)
