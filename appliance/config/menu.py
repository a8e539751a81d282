"""[menu]: what the boot menu offers, what starts if nobody chooses, and which entries need a password. PURE.

Values only: appliance/boot/menu.py turns them into a PC's menu, appliance/config/menu_password.py knows the hashes.
"""

import re
from dataclasses import dataclass

from appliance.config import menu_password
from services.menus.grub import HASH

KINDS = ("boinc", "local", "previous", "memtest", "rescue", "reboot")
LONGEST_TIMEOUT = 3600
"""Seconds."""

_IMAGE = re.compile(r"image:(\d{8}-\d{6}-[0-9a-f]{8})")


def release_of(name: str) -> str | None:
    """The release that an entry image:RELEASE names; None for any other entry."""
    found = _IMAGE.fullmatch(name) if name.startswith("image:") else None
    return found[1] if found else None


def check_entry(name: str) -> str:
    """Return `name` if it is a valid entry; raises ValueError."""
    if name not in KINDS and release_of(name) is None:
        raise ValueError(f"{name!r} is not an entry of the menu: {', '.join(KINDS)} or image:RELEASE (image list)")
    return name


def check_timeout(seconds: int) -> int:
    """Return `seconds` if it is a valid timeout; raises ValueError."""
    if not 0 <= seconds <= LONGEST_TIMEOUT:
        raise ValueError(f"timeout: must be from 0 (no menu) to {LONGEST_TIMEOUT} seconds")
    return seconds


@dataclass(frozen=True)
class MenuSettings:
    """[menu]. `timeout` is in seconds; 0: no menu, the default starts at once. `password` is for iPXE, `grub_password`
    for GRUB, which checks it itself; both as `netboot-appliance menu password` prints them."""

    entries: tuple[str, ...] = ("boinc", "local", "reboot")
    default: str = "boinc"
    timeout: int = 0
    locked: tuple[str, ...] = ()
    password: str = ""
    grub_password: str = ""

    def __post_init__(self) -> None:
        for key, names in (("entries", self.entries), ("default", (self.default,)), ("locked", self.locked)):
            for name in names:
                try:
                    check_entry(name)
                except ValueError as error:
                    raise ValueError(f"{key}: {error}") from None
            if len(set(names)) != len(names):
                raise ValueError(f"{key}: an entry appears twice")
        check_timeout(self.timeout)
        if self.default not in self.entries:
            raise ValueError(f"default: {self.default!r} is not one of the entries")
        for name in self.locked:
            if name not in self.entries:
                raise ValueError(f"locked: {name!r} is not one of the entries")
        if self.default in self.locked:
            raise ValueError(f"default: {self.default!r} is locked, but nobody would be there to type the password")
        if self.locked and not self.password:
            raise ValueError("locked: needs a password: netboot-appliance menu password")
        if self.password:
            menu_password.parse(self.password)
        if self.grub_password and not HASH.fullmatch(self.grub_password):
            raise ValueError("grub_password: not a GRUB password hash; make one with: netboot-appliance menu password")
