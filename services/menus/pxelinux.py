"""Boot menus for PXELINUX 6 (BIOS): its configuration file. PURE.

A line is a keyword and its argument, taken literally; text that could end the line is refused. See
https://wiki.syslinux.org/wiki/index.php?title=Config and doc/menu.txt of SYSLINUX. Locked entries are left out:
menu.c32 would need their passwords in the served file. Nobody at the keyboard can change what an entry does.
"""

import re
from functools import partial

from services.menus.menu import RETRY_AFTER, CommandLine, LiveBoot, LocalDisk, Menu, MenuEntry, Program, Reboot
from services.menus.script_text import checked, require_fit

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_PATH = re.compile(r"[A-Za-z0-9._~/+-]+")
# Without ^: menu.c32 takes the letter after it for a hot key.
_TITLE = re.compile(r"[!-\]_-~]([ -\]_-~]*[!-\]_-~])?")
_WORDS = re.compile(r"[!-~]+( [!-~]+)*")
_checked = partial(checked, "a PXELINUX configuration")


def render(menu: Menu, command_line: CommandLine) -> str:
    """Return the configuration; raises ValueError for a part of the menu that PXELINUX cannot take.

    Paths stay relative: PXELINUX looks for them beside itself, on the server that it came from. After an error it waits
    at its prompt, and then boots the default again.
    """
    shown = menu.unlocked()
    lines = [f"default {_checked(_NAME, shown.default_key)}", "prompt 0", "noescape 1", "allowoptions 0"]
    if shown.timeout:
        lines += ["ui menu.c32", f"menu title {_checked(_TITLE, shown.title)}"]
    # In tenths of a second. Without a menu it applies only to the prompt after an error.
    lines += [f"timeout {10 * (shown.timeout or RETRY_AFTER)}", "onerror reboot.c32"]
    for entry in shown.entries:
        lines += ["", f"label {_checked(_NAME, entry.key)}", f"  menu label {_checked(_TITLE, entry.title)}"]
        # menu.c32 marks its default this way; it does not know `default` with the name of a label.
        lines += ["  menu default"] if entry.name == shown.default else []
        lines += [f"  {line}" for line in _commands(entry, command_line)]
    return "\n".join(lines) + "\n"


def _commands(entry: MenuEntry, command_line: CommandLine) -> list[str]:
    match entry.action:
        case LiveBoot() as live:
            line, initrds = command_line(live), ",".join(_checked(_PATH, path) for path in live.initrds)
            # PXELINUX adds BOOT_IMAGE and initrd.
            require_fit(f"BOOT_IMAGE={live.kernel} {line} initrd={initrds}")
            return [
                f"linux {_checked(_PATH, live.kernel)}",
                f"initrd {initrds}",
                f"append {_checked(_WORDS, line)}",
            ]
        case Program(bios, _):
            return [f"linux {_checked(_PATH, bios)}"]
        case LocalDisk():
            return ["localboot 0"]
        case Reboot():
            return ["com32 reboot.c32"]
