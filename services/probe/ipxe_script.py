"""What iPXE does with a script and its URL, for a probe that plays iPXE. PURE.

Knows `kernel` and `initrd` lines and the box's own menus, but no logic.
"""

import re

from services.ethernet import MacAddress
from services.probe.message import absolute

_OWN_MAC = re.compile(r"\$\{(?:net[X0-9]/)?mac:hexraw\}")


def expand(name: str, mac: MacAddress) -> str:
    """A boot file name with the MAC address filled in, as iPXE does; other settings stay."""
    return _OWN_MAC.sub(mac.bare, name)


def default(text: str, url: str) -> str:
    """The absolute URL of the script that one of the box's own menus starts when nobody chooses; `url` is the menu's.
    Empty when `text` is no such menu."""
    chosen = re.search(r"^choose --default ([a-z0-9-]+) ", text, re.MULTILINE)
    following = re.search(r"^chain (?:--\S+ )*([^\s$]+/)\$\{chosen\}\.ipxe ", text, re.MULTILINE)
    return absolute(url, f"{following[1]}{chosen[1]}.ipxe") if chosen and following else ""


def files(text: str, url: str) -> tuple[str, ...]:
    """The absolute URLs of the kernel and the ramdisks in a script that came from `url`, in order."""
    found = []
    for line in text.splitlines():
        words = line.split("||")[0].split()
        if words[:1] not in (["kernel"], ["initrd"]):
            continue
        rest = iter(words[1:])
        for word in rest:
            if word in ("--name", "-n", "--timeout", "-t"):
                next(rest, None)
            elif not word.startswith("-"):
                found.append(absolute(url, word))
                break
    return tuple(found)
