"""What iPXE makes of a script and its name, for who plays iPXE. PURE. Knows `kernel` and `initrd` lines, no logic."""

import re
from urllib.parse import urljoin

from services.ethernet import MacAddress

_OWN_MAC = re.compile(r"\$\{(?:net[X0-9]/)?mac:hexraw\}")


def expand(name: str, mac: MacAddress) -> str:
    """A boot file name in which iPXE has put its MAC address; other settings stay."""
    return _OWN_MAC.sub(mac.bare, name)


def files(text: str, url: str) -> tuple[str, ...]:
    """The absolute URLs of the kernel and the ramdisks of a script that came from `url`, in their order."""
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
                found.append(urljoin(url, word))
                break
    return tuple(found)
