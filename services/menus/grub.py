"""Boot menus for GRUB 2.06 and newer, as Debian signs it (grubnetx64.efi): its configuration file. PURE.

Words go into single quotes, in which GRUB expands nothing; what could end them is refused, never escaped. See the GRUB
manual, "Writing full configuration files" and "Authentication and authorisation in GRUB".
"""

import re
from ipaddress import IPv4Address

from services.menus.menu import LiveBoot, LocalDisk, Menu, MenuEntry, Program, Reboot

RETRY_AFTER = 10  # seconds
LONGEST_COMMAND_LINE = 2047  # x86 Linux keeps 2048 bytes with the final NUL
USER = "admin"

HASH = re.compile(r"grub\.pbkdf2\.sha512\.[1-9][0-9]{0,8}\.[0-9A-Fa-f]{2,1024}\.[0-9A-Fa-f]{2,1024}")
"""A password as `grub-mkpasswd-pbkdf2` prints it: iterations, salt and hash."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_PATH = re.compile(r"[A-Za-z0-9._~/+-]+")
_PLAIN = re.compile(r"[A-Za-z0-9._~:/%@=+,-]+")
# Backslashes and double quotes are no danger to the line, but `linux` puts a backslash before them for the kernel.
_QUOTABLE = re.compile(r"[ !#-&(-\[\]-~]+")


def render(menu: Menu, directory: str, server: IPv4Address, password: str = "") -> str:
    """Return the configuration for the PC whose directory over TFTP is `directory`; raises ValueError for a part of the
    menu that does not fit into a line of it.

    Every file is fetched from `server` by its address: what GRUB takes for its server is the main DHCP server's word.
    `password` is a hash of grub-mkpasswd-pbkdf2, under the user name "admin"; without one the locked entries are left
    out. When something fails the PC restarts: nobody stands before it, and the next boot has a fresh token.
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
        lines += [f"  {line}" for line in _commands(entry, root)]
        lines.append("}")
    return "\n".join(lines) + "\n"


def _commands(entry: MenuEntry, root: str) -> list[str]:
    match entry.action:
        case LiveBoot(kernel, initrd, command_line):
            kernel, initrd = (f"{root}/{_checked(_PATH, path)}" for path in (kernel, initrd))
            # GRUB itself puts BOOT_IMAGE and the path before the rest.
            length = len(f"BOOT_IMAGE={kernel} {command_line}")
            if length > LONGEST_COMMAND_LINE:
                raise ValueError(f"the kernel command line has {length} characters; {LONGEST_COMMAND_LINE} fit")
            words = " ".join(_word(word) for word in command_line.split(" "))
            return [
                f"echo 'netboot-appliance: boots {kernel}'",
                f"if linux {kernel} {words}; then",
                f"  if initrd {initrd}; then",
                "    echo 'netboot-appliance: starting the kernel'",
                "    boot",
                "  fi",
                "fi",
                "failed",
            ]
        case Program(_, uefi):
            return [f"if chainloader {root}/{_checked(_PATH, uefi)}; then", "  boot", "fi", "failed"]
        case LocalDisk():
            # GRUB can only end with success, and that ends network boot in EDK2's setup screen (seen in OVMF): the
            # disk's own loader is started instead, where firmware has made the disk ready.
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


def _checked(pattern: re.Pattern[str], text: str) -> str:
    if not pattern.fullmatch(text):
        raise ValueError(f"{text!r} cannot stand in a GRUB configuration")
    return text
