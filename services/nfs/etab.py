"""Tables of exports in the notation of exports(5): decoded and compared.

PURE. Understands the file that we render and /var/lib/nfs/etab, where exportfs(8) keeps what is in force: the same
notation with every option spelled out, a tab after the path and octal escapes in it (nfs-utils, putexportent). It does
not read files, and takes options as plain words.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

Options = tuple[str, ...]
Table = Mapping[tuple[str, str], Options]
"""Options by path and client, both as in exports(5)."""

_OCTAL = re.compile(rb"\\([0-3][0-7]{2})")
_CLIENT = re.compile(r"([^\s()]+)\(([^\s()]*)\)")
_ONE_MACHINE = re.compile(r"[0-9.]+/32")


@dataclass(frozen=True, slots=True)
class Changes:
    """What exportfs has to do: path and client of each export to end, and of each to start, grouped by options."""

    unexport: tuple[tuple[str, str], ...]
    export: Mapping[Options, tuple[tuple[str, str], ...]]


def parse(text: str) -> dict[tuple[str, str], Options]:
    """Decode a table; lines without a path or a client are skipped."""
    found: dict[tuple[str, str], Options] = {}
    # Not str.split(): etab does not escape what is white space only to Unicode.
    for line in text.split("\n"):
        path, *clients = re.split("[ \t]+", line)
        if path.startswith("/"):
            for client in filter(None, map(_CLIENT.fullmatch, clients)):
                found[_unescape(path), client[1]] = tuple(client[2].split(","))
    return found


def changes(wanted: Table, before: Table, live: Table, roots: Iterable[str]) -> Changes:
    """What turns `live` into `wanted`, leaving everybody else's exports alone.

    Ours are the exports that our file had `before`, and those to one machine (which we write as /32) at one of the
    `roots` or directly below it: this finds what a failed attempt left behind, without a record of it.
    Only the options that we write are compared; exportfs adds its defaults.
    """
    own = set(roots)
    ended = [
        key
        for key in live
        if key not in wanted
        and (key in before or (_ONE_MACHINE.fullmatch(key[1]) and (key[0] in own or key[0].rpartition("/")[0] in own)))
    ]
    started: dict[Options, list[tuple[str, str]]] = {}
    for key, options in wanted.items():
        if not set(options) <= set(live.get(key, ())):
            started.setdefault(options, []).append(key)
    return Changes(tuple(ended), {options: tuple(keys) for options, keys in started.items()})


def _unescape(path: str) -> str:
    data = path.encode("utf-8", "surrogateescape")
    return _OCTAL.sub(lambda match: bytes([int(match[1], 8)]), data).decode("utf-8", "surrogateescape")
