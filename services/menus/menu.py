"""The boot menu as a value: what a PC may boot, and what it boots when nobody chooses. PURE.

One model, rendered by ipxe.py, grub.py and pxelinux.py. It has nothing in it that belongs to one PC: the renderers ask
for the kernel's command line. Its paths are relative to the PC's own directory on the box, which is the same over TFTP
and HTTP: `image/<release>/vmlinuz`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

RETRY_AFTER = 10  # seconds before a script tries again after a failure


class Dialect(StrEnum):
    """The boot loader that reads a menu."""

    IPXE = "iPXE"
    GRUB = "GRUB"
    PXELINUX = "PXELINUX"


@dataclass(frozen=True, slots=True)
class LiveBoot:
    """Start the live system of a release. `rescue`: with a root shell instead of systemd. `microcode`: the release has
    a file with it."""

    release: str
    rescue: bool = False
    microcode: bool = False

    @property
    def kernel(self) -> str:
        """The path of its kernel."""
        return f"image/{self.release}/vmlinuz"

    @property
    def initrds(self) -> tuple[str, ...]:
        """The paths of its ramdisks, which the kernel gets as one: it finds microcode only in the first."""
        names = ("microcode.img", "initrd.img") if self.microcode else ("initrd.img",)
        return tuple(f"image/{self.release}/{name}" for name in names)


CommandLine = Callable[[LiveBoot], str]
"""The kernel's command line with which one PC starts a live system, in its current boot."""


@dataclass(frozen=True, slots=True)
class Program:
    """Start a program that boots like a kernel (memtest): its paths for BIOS and for UEFI."""

    bios: str
    uefi: str


@dataclass(frozen=True, slots=True)
class LocalDisk:
    """Leave network boot: the firmware goes on to the next device of its boot order, or to the first disk."""


@dataclass(frozen=True, slots=True)
class Reboot:
    """Restart the PC."""


Action = LiveBoot | Program | LocalDisk | Reboot


@dataclass(frozen=True, slots=True)
class MenuEntry:
    """One line of the menu. A `locked` one needs the password. Its action is not in the menu: the loader fetches it
    with the password."""

    name: str
    title: str
    action: Action
    locked: bool = False

    @property
    def key(self) -> str:
        """Its name as part of a URL and word of a script, without colons: one could be read as the end of a scheme."""
        return self.name.replace(":", "-")


@dataclass(frozen=True, slots=True)
class Menu:
    """`default` names an entry. `timeout` is in seconds; 0: the default starts at once, without a menu."""

    title: str
    entries: tuple[MenuEntry, ...]
    default: str
    timeout: int = 0

    def __post_init__(self) -> None:
        names = [entry.name for entry in self.entries]
        if len(set(names)) != len(names) or self.default not in names:
            raise ValueError("entries need distinct names, and the default must be one of them")

    def unlocked(self) -> "Menu":
        """The menu without its locked entries, for a loader that cannot protect them. If the default is locked, the
        first remaining entry takes its place; raises ValueError when none remains."""
        left = tuple(entry for entry in self.entries if not entry.locked)
        if not left:
            raise ValueError("every entry of the menu is locked")
        default = self.default if any(entry.name == self.default for entry in left) else left[0].name
        return replace(self, entries=left, default=default)

    @property
    def default_key(self) -> str:
        """The key of the default."""
        return next(entry.key for entry in self.entries if entry.name == self.default)

    def entry(self, name: str) -> MenuEntry | None:
        """The entry of this name, None if there is none."""
        return next((entry for entry in self.entries if entry.name == name), None)
