"""Boot menus for GRUB 2.06 and newer, as Debian signs it (grubnetx64.efi): its configuration file. PURE.

Words go into single quotes, in which GRUB expands nothing; text that could end them is refused, never escaped. See the
GRUB manual, "Writing full configuration files" and "Authentication and authorisation in GRUB".
"""

import re
from functools import partial
from ipaddress import IPv4Address

from services.menus.menu import RETRY_AFTER, CommandLine, LiveBoot, LocalDisk, Menu, MenuEntry, Program, Reboot
from services.menus.script_text import checked, require_fit

USER = "admin"

HASH = re.compile(r"grub\.pbkdf2\.sha512\.[1-9][0-9]{0,8}\.[0-9A-Fa-f]{2,1024}\.[0-9A-Fa-f]{2,1024}")
"""A password as `grub-mkpasswd-pbkdf2` prints it: iterations, salt and hash."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_PATH = re.compile(r"[A-Za-z0-9._~/+-]+")
_PLAIN = re.compile(r"[A-Za-z0-9._~:/%@=+,-]+")
# Backslashes and double quotes would be harmless here, but `linux` puts a backslash before them for the kernel.
_QUOTABLE = re.compile(r"[ !#-&(-\[\]-~]+")
_checked = partial(checked, "a GRUB configuration")


def render(menu: Menu, directory: str, server: IPv4Address, command_line: CommandLine, password: str = "") -> str:
    """Return the configuration for the PC whose directory over TFTP is `directory`; raises ValueError for a part of the
    menu that GRUB cannot take.

    Every file is fetched from `server` by its address, because GRUB's own idea of its server comes from the main DHCP
    server. `password` is a hash of grub-mkpasswd-pbkdf2, for the user name "admin"; without one the locked entries are
    left out. When something fails the PC restarts: nobody is there to press a key, and the next boot has a fresh token.
    """
    if password and not HASH.fullmatch(password):
        raise ValueError("the GRUB password is not a hash: grub-mkpasswd-pbkdf2 prints grub.pbkdf2.sha512.…")
    shown = menu if password else menu.unlocked()
    root = f"(tftp,{server})/{_checked(_PATH, directory)}"
    lines = [
        f"set default={_checked(_NAME, shown.default_key)}",
        f"set timeout={shown.timeout}",
        *((f"set superusers={USER}", f"password_pbkdf2 {USER} {password}") if password else ()),
        "",
        "function failed {",
        f"  echo 'netboot-appliance: that failed; this PC restarts in {RETRY_AFTER} seconds'",
        f"  sleep {RETRY_AFTER}",
        "  reboot",
        "}",
    ]
    for entry in shown.entries:
        free = "" if entry.locked else " --unrestricted"
        lines += ["", f"menuentry {_quoted(entry.title)} --id {_checked(_NAME, entry.key)}{free} {{"]
        lines += [f"  {line}" for line in _commands(entry, root, command_line)]
        lines.append("}")
    return "\n".join(lines) + "\n"


def _commands(entry: MenuEntry, root: str, command_line: CommandLine) -> list[str]:
    match entry.action:
        case LiveBoot() as live:
            kernel, *initrds = (f"{root}/{_checked(_PATH, path)}" for path in (live.kernel, *live.initrds))
            line = command_line(live)
            require_fit(f"BOOT_IMAGE={kernel} {line}")  # GRUB adds BOOT_IMAGE
            words = " ".join(_word(word) for word in line.split(" "))
            return [
                f"echo 'netboot-appliance: boots {kernel}'",
                f"if linux {kernel} {words}; then",
                f"  if initrd {' '.join(initrds)}; then",
                "    echo 'netboot-appliance: starting the kernel'",
                "    boot",
                "  fi",
                "fi",
                "failed",
            ]
        case Program(_, uefi):
            return [f"if chainloader {root}/{_checked(_PATH, uefi)}; then", "  boot", "fi", "failed"]
        case LocalDisk():
            # GRUB can only exit with success, and after that EDK2 shows its setup screen (seen in OVMF). So the disk's
            # own loader is started instead, if the firmware has made the disk available.
            return [
                "if search --no-floppy --file --set=disk /EFI/BOOT/BOOTX64.EFI; then",
                "  if chainloader ($disk)/EFI/BOOT/BOOTX64.EFI; then",
                "    boot",
                "  fi",
                "fi",
                "exit",
            ]
        case Reboot():
            return ["reboot"]


def _word(word: str) -> str:
    return word if _PLAIN.fullmatch(word) else _quoted(word)


def _quoted(text: str) -> str:
    return f"'{_checked(_QUOTABLE, text)}'"
