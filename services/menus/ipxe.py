"""Boot scripts for iPXE, from version 1.0.0+git-20190125 (Debian 12) on, BIOS and UEFI. PURE.

iPXE splits a line at blanks and knows no quoting, so what could end a command or expand a setting is refused, never
escaped. See https://ipxe.org/scripting and https://ipxe.org/cmd.
"""

import re
from dataclasses import dataclass

RETRY_AFTER = 10  # seconds
LONGEST_COMMAND_LINE = 2047  # x86 Linux keeps 2048 octets with the final NUL

_INITRD = "initrd.img"
_URI = re.compile(r"[A-Za-z0-9._~:/%@?=&+,-]+")
WORD = re.compile(r"[A-Za-z0-9._~:/%@?=+,!*()<>\[\]{}^-]+")
"""A word of a kernel command line that iPXE hands on as it is. Not in it: `$` expands a setting, `\\` joins lines, `#`
starts a comment, `;` `|` `&` end a command, quotes mislead."""


@dataclass(frozen=True, slots=True)
class LiveBoot:
    """A kernel and a ramdisk, as URIs relative to the script, and the kernel's command line."""

    kernel: str
    initrd: str
    command_line: str


def render(boot: LiveBoot) -> str:
    """Return the script that boots `boot`; raises ValueError when a part of it does not fit into an iPXE line.

    When something fails (a server that restarts, a full network), the script waits and fetches itself anew, for ever:
    a PC in a rack has nobody to press a key, and the fresh script has a fresh token and the image that is active then.
    """
    for uri in (boot.kernel, boot.initrd):
        if not _URI.fullmatch(uri):
            raise ValueError(f"{uri!r} cannot stand in an iPXE script: a URI has letters, digits and ._~:/%@?=&+,-")
    words = boot.command_line.split(" ")
    for word in words:
        if not WORD.fullmatch(word):
            raise ValueError(f"{word!r} on the kernel command line cannot stand in an iPXE script: leave it out")
    # Under UEFI the kernel itself loads the ramdisk, and finds it by this argument; under BIOS it does no harm.
    command_line = " ".join((f"initrd={_INITRD}", *words))
    if len(command_line) > LONGEST_COMMAND_LINE:
        raise ValueError(f"the kernel command line has {len(command_line)} characters; {LONGEST_COMMAND_LINE} fit")
    return f"""\
#!ipxe
echo netboot-appliance: ${{netX/mac}} boots {boot.kernel}
imgfree
kernel {boot.kernel} {command_line} || goto retry
initrd --name {_INITRD} {boot.initrd} || goto retry
echo netboot-appliance: starting the kernel
boot || goto retry

:retry
echo netboot-appliance: that failed; the boot starts anew in {RETRY_AFTER} seconds
sleep {RETRY_AFTER}
chain --replace --autofree boot.ipxe || goto retry
"""
