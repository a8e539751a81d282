"""Boot scripts for iPXE, from version 1.0.0+git-20190125 (Debian 12) on, BIOS and UEFI. PURE.

iPXE splits a line at blanks and has no quoting, so text that could end a command or expand a setting is refused, never
escaped. See https://ipxe.org/scripting and https://ipxe.org/cmd.
"""

import re
from functools import partial

from services.ethernet import MacAddress
from services.menus.menu import RETRY_AFTER, Action, CommandLine, LiveBoot, LocalDisk, Menu, MenuEntry, Program, Reboot
from services.menus.script_text import checked, require_fit

_URI = re.compile(r"[A-Za-z0-9._~:/%@?=&+,-]+")
WORD = re.compile(r"[A-Za-z0-9._~:/%@?=+,!*()<>\[\]{}^-]+")
"""A word of a kernel command line that iPXE passes on unchanged. Left out: `$` expands a setting, `\\` joins lines, `#`
starts a comment, `;` `|` `&` end a command, and quotes have no effect here."""
_WORDS = re.compile(rf"{WORD.pattern}(?: {WORD.pattern})*")
_TITLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._:/+,()-]*")
_DIGITS = 9
_KEY = re.compile(r"[a-z0-9-]+")
_checked = partial(checked, "an iPXE script")


def render(menu: Menu, base: str, command_line: CommandLine, shim: str = "") -> str:
    """Return the script that shows `menu`, or starts its default if there is no timeout. `base` is the URL of the PC's
    own directory, with the final slash. `shim` is the path there of the shim that vouches for a signed kernel, if iPXE
    itself was started by one. Raises ValueError for a part of the menu that iPXE cannot take.

    When something fails (the server restarts, the network is congested), the script waits and fetches itself again,
    without end: nobody is at a PC in a rack to press a key, and the new script has a fresh token and the image that is
    active by then.
    """
    if menu.timeout == 0:
        default = menu.entry(menu.default)
        assert default is not None
        return _script(_start(default.action, "", command_line, shim), "boot.ipxe")
    return _script(_choice(menu, base), "boot.ipxe")


def render_entry(entry: MenuEntry, base: str, command_line: CommandLine, shim: str = "") -> str:
    """Return the script that starts an entry that was chosen (with the right password, if locked); like `render`. Its
    URIs are absolute, because the URL that fetched it may contain the password."""
    return _script(_start(entry.action, base, command_line, shim), f"{base}boot.ipxe")


def render_autoexec(mac: MacAddress, script: str) -> str:
    """Return the script that an iPXE under UEFI looks for beside itself, before it does anything else: `autoexec.ipxe`.

    It asks for an address by DHCP, on the card with this MAC address alone, and goes on to the URL `script`. Left to
    itself iPXE would also wait until it knows that there is no IPv6 router, for 6 to 18 seconds. Where something fails
    it is left to itself; and what that starts, or when it ends, is the end here too: nothing is begun twice.
    """
    return f"""\
#!ipxe
set card:int32 0
:card
isset ${{net${{card}}/mac}} || goto usual
iseq ${{net${{card}}/mac}} {mac} && goto address ||
inc card
goto card
:address
ifconf --configurator dhcp net${{card}} || goto usual
chain --replace --autofree {_checked(_URI, script)} ||
:usual
autoboot
"""


def _script(body: str, itself: str) -> str:
    return f"""\
#!ipxe
{body}
:retry
echo netboot-appliance: that failed; trying again in {RETRY_AFTER} seconds
sleep {RETRY_AFTER}
chain --replace --autofree {itself} || goto retry
"""


def _choice(menu: Menu, base: str) -> str:
    """The menu. Each entry is a script of its own, and for a locked one the box asks for the password by HTTP basic
    authentication, which iPXE answers with the user name and password in the URL.

    Leaving the menu with Escape starts its default. `login` would show what was typed last, so that is cleared.
    """
    _checked(_URI, base)
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
menu {_checked(_TITLE, menu.title)}
{items}
choose --default {default} --timeout {1000 * menu.timeout} chosen || set chosen {default}
{locked}chain --replace --autofree {base}menu/${{chosen}}.ipxe || goto retry
{ask}"""


def _item(number: int, entry: MenuEntry) -> str:
    # The digit selects it: a serial console may split the escape sequences of the arrow keys.
    key = f"--key {number} " if number <= _DIGITS else ""
    title = f"{number} {_checked(_TITLE, entry.title)}{' (password)' if entry.locked else ''}"
    return f"item {key}{_checked(_KEY, entry.key)} {title}"


def _start(action: Action, base: str, command_line: CommandLine, shim: str) -> str:
    """The lines that carry out an action; `base` is put before URIs."""
    match action:
        case LiveBoot():
            return _live(action, base, command_line(action), shim)
        case Program():
            uefi, bios = _checked(_URI, base + action.uefi), _checked(_URI, base + action.bios)
            return f"""\
echo netboot-appliance: ${{netX/mac}} starts {action.bios}
imgfree
iseq ${{platform}} efi && set program {uefi} || set program {bios}
kernel ${{program}} || goto retry
boot || goto retry
"""
        case LocalDisk():
            # After success UEFI stays in its boot manager (EDK2, BdsEntry.c: BootBootOptions); after a failure it goes
            # on to the next device.
            return """\
echo netboot-appliance: ${netX/mac} starts from its own disk
iseq ${platform} efi && exit 1 ||
sanboot --no-describe --drive 0x80 || goto retry
"""
        case Reboot():
            return """\
echo netboot-appliance: ${netX/mac} restarts
reboot || goto retry
"""


def _live(boot: LiveBoot, base: str, words: str, shim: str) -> str:
    # iPXE fetches it only where Secure Boot needs it for this kernel; an iPXE without the command goes on.
    vouch = f"shim {_checked(_URI, base + shim)} ||\n" if shim else ""
    kernel = _checked(_URI, base + boot.kernel)
    initrds = {path.rpartition("/")[2]: _checked(_URI, base + path) for path in boot.initrds}
    if not _WORDS.fullmatch(words):
        wrong = next(word for word in words.split(" ") if not WORD.fullmatch(word))
        raise ValueError(f"{wrong!r} on the kernel command line is not allowed in an iPXE script: leave it out")
    # Under UEFI an iPXE from before 2023 lets the kernel load the ramdisks itself, which finds them by these arguments
    # and joins them in this order. Otherwise iPXE joins them in the order in which it fetched them.
    command_line = " ".join((*(f"initrd={name}" for name in initrds), words))
    require_fit(command_line)
    fetch = "".join(f"initrd --name {name} {uri} || goto retry\n" for name, uri in initrds.items())
    return f"""\
echo netboot-appliance: ${{netX/mac}} boots {boot.kernel}
imgfree
kernel {kernel} {command_line} || goto retry
{fetch}{vouch}echo netboot-appliance: starting the kernel
boot || goto retry
"""
