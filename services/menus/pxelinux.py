"""Boot menus for PXELINUX 6 (BIOS): its configuration file. PURE.

A line is a keyword and the rest of the line as it stands, without quoting; what could end the line is refused. See
https://wiki.syslinux.org/wiki/index.php?title=Config and doc/menu.txt of SYSLINUX. Locked entries are left out: the
passwords of menu.c32 would stand in the served file. Nobody at the keyboard can change what an entry does.
"""

import re

from services.menus.menu import LiveBoot, LocalDisk, Menu, MenuEntry, Program, Reboot

RETRY_AFTER = 10  # seconds
LONGEST_COMMAND_LINE = 2047  # bytes, of PXELINUX 6 as of x86 Linux

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_PATH = re.compile(r"[A-Za-z0-9._~/+-]+")
# menu.c32 shows the letter after a ^ as a key.
_TITLE = re.compile(r"[!-\]_-~]([ -\]_-~]*[!-\]_-~])?")
_WORDS = re.compile(r"[!-~]+( [!-~]+)*")


def render(menu: Menu) -> str:
    """Return the configuration; raises ValueError for a part of the menu that does not fit into a line of it.

    Paths stay relative: PXELINUX asks for them beside itself, at the server that it came from. After an error it waits
    at its prompt, and then boots the default again.
    """
    shown = menu.unlocked()
    lines = [f"default {_checked(_NAME, shown.default_key)}", "prompt 0", "noescape 1", "allowoptions 0"]
    if shown.timeout:
        lines += ["ui menu.c32", f"menu title {_checked(_TITLE, shown.title)}"]
    # In tenths of a second. Without a menu it counts only at the prompt that follows an error.
    lines += [f"timeout {10 * (shown.timeout or RETRY_AFTER)}", "onerror reboot.c32"]
    for entry in shown.entries:
        lines += ["", f"label {_checked(_NAME, entry.key)}", f"  menu label {_checked(_TITLE, entry.title)}"]
        # menu.c32 starts where this stands, and knows no `default` of a label's name.
        lines += ["  menu default"] if entry.name == shown.default else []
        lines += [f"  {line}" for line in _commands(entry)]
    return "\n".join(lines) + "\n"


def _commands(entry: MenuEntry) -> list[str]:
    match entry.action:
        case LiveBoot(kernel, initrd, command_line):
            # PXELINUX itself adds these two.
            length = len(f"BOOT_IMAGE={kernel} {command_line} initrd={initrd}")
            if length > LONGEST_COMMAND_LINE:
                raise ValueError(f"the kernel command line has {length} characters; {LONGEST_COMMAND_LINE} fit")
            return [
                f"linux {_checked(_PATH, kernel)}",
                f"initrd {_checked(_PATH, initrd)}",
                f"append {_checked(_WORDS, command_line)}",
            ]
        case Program(bios, _):
            return [f"linux {_checked(_PATH, bios)}"]
        case LocalDisk():
            return ["localboot 0"]
        case Reboot():
            return ["com32 reboot.c32"]


def _checked(pattern: re.Pattern[str], text: str) -> str:
    if not pattern.fullmatch(text):
        raise ValueError(f"{text!r} cannot stand in a PXELINUX configuration")
    return text
