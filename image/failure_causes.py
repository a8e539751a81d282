"""Why a program of a build failed, in words, by what it printed. PURE.

The cause may be thousands of lines above the end. What went wrong once and was then tried again with success is no
cause: of apt, only what it has given up (`Err:`) and its conclusions (`E:`) are read, not what it tries again (`Ign:`).
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from image import livebuild
from image.recipe import ImageRecipe


@dataclass(frozen=True, slots=True)
class FailureCause:
    """What was wrong, in words for a sentence, and what to do about it."""

    words: str
    hint: str


MEMORY = FailureCause(
    "the machine ran out of memory, and the kernel ended a program of the build",
    "end other programs, or add memory or swap, then build again",
)

_NETWORK = "check the network and /etc/apt/sources.list, then build again"
_PROXY = "check the proxy of this machine's apt (apt-config dump Acquire::http::Proxy), then build again"
_LATER = "build again later, or name another mirror in /etc/apt/sources.list"
_UNFREE = "|".join(livebuild.unfree_packages(ImageRecipe(firmware="all")))

SILENT = FailureCause("the Debian mirror does not answer", _NETWORK)

# Of several that fit, the first: what explains the others comes before them. `what` is put into the words.
_CAUSES = (
    (
        r"No space left on device|You don't have enough free space in|out of space on output filesystem"
        r"|Disk quota exceeded",
        "the disk is full",
        "make room, then build again",
    ),
    ("Cannot allocate memory|virtual memory exhausted", "there is not enough memory", MEMORY.hint),
    (
        r"(?:Temporary failure resolving|Could not resolve) '(?P<what>[^']+)|unable to resolve host address .(?P<wget>"
        r"[\w.:-]+)",
        "the name of the Debian mirror or of its proxy, {what}, cannot be resolved",
        f"check the name servers in /etc/resolv.conf; {_NETWORK}",
    ),
    (
        r"(?:to|connect to) (?P<what>\S+?)(?: \(\S+\))?(?:\.\.\.|\. - connect \(\d+:) (?:failed: )?Connection refused",
        "{what} refuses connections: there is no Debian mirror or proxy",
        _NETWORK,
    ),
    (
        r"(?:to|connection to) (?P<what>\S+?)(?: \(\S+\))?(?:\.\.\.|\. - connect \(\d+:) "
        r"(?:failed: )?(?:Network is unreachable|No route to host)",
        "there is no way to {what}, the Debian mirror or its proxy",
        _NETWORK,
    ),
    (r"[Cc]onnection timed out|, connection timed out", SILENT.words, SILENT.hint),
    (
        r"Connection reset by peer|No data received|Error reading from server|Connection failed \[IP"
        r"|Unable to connect to|Connection closed|unexpectedly closed",
        "the Debian mirror or its proxy ends the connections without an answer",
        _NETWORK,
    ),
    (r"ERROR 407|^  407  |  407  ", "the proxy asks for a password, or refuses the one that it gets", _PROXY),
    (r"ERROR 40[13]|  40[13]  ", "the Debian mirror or its proxy refuses access", _PROXY),
    (r"ERROR 5\d\d|  5\d\d  ", "the Debian mirror or its proxy has a fault of its own", _LATER),
    (
        r"Release file for (?P<what>\S+) is expired",
        "{what} is out of date: this mirror is not kept current",
        "name another mirror in /etc/apt/sources.list",
    ),
    (
        r"Release file for (?P<what>\S+) is not valid yet",
        "{what} is from the future: the clock of this machine is wrong",
        "set the clock (timedatectl), then build again",
    ),
    (
        r"signed by unknown key|may be incorrect or out of date|NO_PUBKEY|Missing key",
        "this machine does not have the keys of the distribution's archive",
        "apt-get install debian-archive-keyring, then build again",
    ),
    (
        r"Invalid Release signature|BADSIG|no valid OpenPGP data found|Clearsigned file isn't valid|is not signed"
        r"|signatures were invalid|OpenPGP signature verification failed|Invalid Release file",
        "what comes as the list of packages is not signed by Debian: a login page of the network, or a mirror that is "
        "damaged",
        f"{_NETWORK}; for a repository of others, get its makers' key anew: netboot-appliance image recipe check",
    ),
    (
        r"Hash Sum mismatch|File has unexpected size|was corrupt",
        "the mirror sends files that are not what its lists say: it is being renewed at the moment, or a proxy has old "
        "ones",
        _LATER,
    ),
    (
        r"-backports\S* Release' does not have a Release file",
        "the mirror of this machine's apt has no backports of this distribution",
        "set [image] backports = false, or name a mirror that has them in /etc/apt/sources.list",
    ),
    (
        r"Failed to fetch \S+/pool/\S+  404  |Couldn't download (?P<what>\S+)",
        "the mirror does not have a package that its own list names",
        _LATER,
    ),
    (
        r"ERROR 404|  404  Not Found|does not have a Release file|no longer has a Release file|Failed getting release",
        "the mirror does not have this distribution",
        "name a mirror that has it in /etc/apt/sources.list",
    ),
    (
        rf"Unable to locate package (?P<what>{_UNFREE})",
        "the mirror has no {what}, which is in non-free-firmware",
        'set [image] firmware = "none", or name a mirror that has it in /etc/apt/sources.list',
    ),
    (
        r"Unable to locate package (?P<what>\S+)|Package '(?P<none>\S+)' has no installation candidate",
        "Debian has no package {what}",
        "the recipe names it: netboot-appliance image recipe check",
    ),
    (
        r"(?P<what>\S+) : Depends: |unmet dependencies|held broken packages",
        "packages of the recipe cannot be installed together",
        "see the log for which; check the recipe's packages and backports",
    ),
)
_LOCAL = 2
"""So many of them, the first, are not about a mirror."""
_OF_WGET = re.compile(r"HTTP request sent|Connecting to |Resolving |.*Read error at byte |wget: unable")
_TABLE = tuple((re.compile(pattern), words, hint) for pattern, words, hint in _CAUSES)


def find_cause(lines: Iterable[str], *, mirror: bool = True) -> FailureCause | None:
    """The cause, if what a program printed, line by line, names one. `mirror`: whether it asks the mirror for anything;
    what a hook says of a network is about something else."""
    best, found = len(_TABLE) if mirror else _LOCAL, None
    for line in _conclusions(lines):
        for number, (pattern, words, hint) in enumerate(_TABLE[:best]):
            if match := pattern.search(line):
                what = next((each for each in match.groups() if each), "")
                best, found = number, FailureCause(words.format(what=what), hint)
                break
    return found


def _conclusions(lines: Iterable[str]) -> Iterator[str]:
    """Less what was tried again: by apt, a line that begins with `Ign:` and the reason below it; by wget, what comes
    before a file that was saved."""
    again = False
    tried: list[str] = []
    for line in lines:
        if not (again and line.startswith("  ")):
            again = line.startswith("Ign:")
        if _OF_WGET.match(line):
            tried.append(line)
        elif " saved [" in line:
            tried.clear()
        elif not again:
            yield line
    yield from tried
