"""Boot scripts for iPXE, from version 1.0.0+git-20190125 (Debian 12) on, BIOS and UEFI. PURE.

iPXE splits a line at blanks and knows no quoting, so what could end a command or expand a setting is refused, never
escaped. See https://ipxe.org/scripting and https://ipxe.org/cmd.
"""

import re

from services.menus.menu import Action, LiveBoot, LocalDisk, Menu, MenuEntry, Program, Reboot

RETRY_AFTER = 10  # seconds
LONGEST_COMMAND_LINE = 2047  # x86 Linux keeps 2048 bytes with the final NUL

_INITRD = "initrd.img"
_URI = re.compile(r"[A-Za-z0-9._~:/%@?=&+,-]+")
WORD = re.compile(r"[A-Za-z0-9._~:/%@?=+,!*()<>\[\]{}^-]+")
"""A word of a kernel command line that iPXE hands on as it is. Not in it: `$` expands a setting, `\\` joins lines, `#`
starts a comment, `;` `|` `&` end a command, quotes mislead."""
_TITLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._:/+,()-]*")
_DIGITS = 9
_KEY = re.compile(r"[a-z0-9-]+")


def render(menu: Menu, base: str) -> str:
    """Return the script that shows `menu`, or without a timeout the one that starts its default. `base` is the URL of
    the PC's own directory, with its last slash. Raises ValueError when a part of it does not fit into an iPXE line.

    When something fails (a server that restarts, a full network), the script waits and fetches itself anew, for ever:
    a PC in a rack has nobody to press a key, and the fresh script has a fresh token and the image that is active then.
    """
    if menu.timeout == 0:
        default = menu.entry(menu.default)
        assert default is not None
        return _script(_start(default.action, ""), "boot.ipxe")
    return _script(_choice(menu, base), "boot.ipxe")


def render_entry(entry: MenuEntry, base: str) -> str:
    """Return the script that starts an entry which was chosen, and whose password was right if it has one; like
    `render`. Its URIs are absolute: those before it had the password in them."""
    return _script(_start(entry.action, base), f"{base}boot.ipxe")


def _script(body: str, again: str) -> str:
    return f"""\
#!ipxe
{body}
:retry
echo netboot-appliance: that failed; the boot starts anew in {RETRY_AFTER} seconds
sleep {RETRY_AFTER}
chain --replace --autofree {again} || goto retry
"""


def _choice(menu: Menu, base: str) -> str:
    """The menu. What an entry does is a script of its own, and for a locked one the box asks for the password: HTTP
    basic authentication, which iPXE answers with the user name and password of the URL.

    Whoever leaves the menu with Escape gets its default. `login` shows what was typed last, so that is cleared.
    """
    _check(_URI, base)
    default = next(entry.key for entry in menu.entries if entry.name == menu.default)
    items = "\n".join(_item(number, entry) for number, entry in enumerate(menu.entries, 1))
    locked = "".join(f"iseq ${{chosen}} {entry.key} && goto locked ||\n" for entry in menu.entries if entry.locked)
    scheme, _, rest = base.partition("://")
    with_password = f"{scheme}://${{username:uristring}}:${{password:uristring}}@{rest}"
    ask = (
        f"""
:locked
clear password
login || goto menu
chain --replace --autofree {with_password}menu/${{chosen}}.ipxe ||
clear password
echo netboot-appliance: ${{chosen}} stays locked
sleep 3
goto menu
"""
        if locked
        else ""
    )
    return f"""\
:menu
menu {_check(_TITLE, menu.title)}
{items}
choose --default {default} --timeout {1000 * menu.timeout} chosen || set chosen {default}
{locked}chain --replace --autofree {base}menu/${{chosen}}.ipxe || goto retry
{ask}"""


def _item(number: int, entry: MenuEntry) -> str:
    # The digit starts it: a serial console may take the escape sequence of an arrow key apart.
    key = f"--key {number} " if number <= _DIGITS else ""
    title = f"{number} {_check(_TITLE, entry.title)}{' (password)' if entry.locked else ''}"
    return f"item {key}{_check(_KEY, entry.key)} {title}"


def _start(action: Action, base: str) -> str:
    """The lines that start something; URIs get `base` before them."""
    match action:
        case LiveBoot():
            return _live(action, base)
        case Program():
            uefi, bios = _check(_URI, base + action.uefi), _check(_URI, base + action.bios)
            return f"""\
echo netboot-appliance: ${{netX/mac}} starts {action.bios}
imgfree
iseq ${{platform}} efi && set program {uefi} || set program {bios}
kernel ${{program}} || goto retry
boot || goto retry
"""
        case LocalDisk():
            # A UEFI that is told of success stays in its boot manager (EDK2, BdsEntry.c: BootBootOptions); told of a
            # failure it goes on to the next device.
            return """\
echo netboot-appliance: ${netX/mac} starts from its own disk
iseq ${platform} efi && exit 1 ||
sanboot --no-describe --drive 0x80 || goto retry
"""
        case Reboot():
            return """\
echo netboot-appliance: ${netX/mac} starts anew
reboot || goto retry
"""


def _live(boot: LiveBoot, base: str) -> str:
    kernel, initrd = _check(_URI, base + boot.kernel), _check(_URI, base + boot.initrd)
    words = boot.command_line.split(" ")
    for word in words:
        if not WORD.fullmatch(word):
            raise ValueError(f"{word!r} on the kernel command line cannot stand in an iPXE script: leave it out")
    # Under UEFI the kernel itself loads the ramdisk, and finds it by this argument; under BIOS it does no harm.
    command_line = " ".join((f"initrd={_INITRD}", *words))
    if len(command_line) > LONGEST_COMMAND_LINE:
        raise ValueError(f"the kernel command line has {len(command_line)} characters; {LONGEST_COMMAND_LINE} fit")
    return f"""\
echo netboot-appliance: ${{netX/mac}} boots {boot.kernel}
imgfree
kernel {kernel} {command_line} || goto retry
initrd --name {_INITRD} {initrd} || goto retry
echo netboot-appliance: starting the kernel
boot || goto retry
"""


def _check(form: re.Pattern[str], text: str) -> str:
    if not form.fullmatch(text):
        raise ValueError(f"{text!r} cannot stand in an iPXE script")
    return text
