"""The notation of exports(5) read back, and what two such tables differ in.

PURE. Reads the file that we rendered and /var/lib/nfs/etab, in which exportfs(8) keeps what is in force: the same
notation, with every option spelled out, a tab after the path and octal escapes in it (nfs-utils, putexportent). It
reads no file, and of options it knows no more than that they are words.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

Options = tuple[str, ...]
Table = Mapping[tuple[str, str], Options]
"""Options by path and client, each as exports(5) names it."""

_OCTAL = re.compile(rb"\\([0-3][0-7]{2})")
_CLIENT = re.compile(r"([^\s()]+)\(([^\s()]*)\)")
_ONE_MACHINE = re.compile(r"[0-9.]+/32")


@dataclass(frozen=True, slots=True)
class Changes:
    """What exportfs has to be told: path and client of what ends, and of what begins, by its options."""

    unexport: tuple[tuple[str, str], ...]
    export: Mapping[Options, tuple[tuple[str, str], ...]]


def parse(text: str) -> dict[tuple[str, str], Options]:
    """Decode a table; lines in which there is no path or no client are passed over."""
    found: dict[tuple[str, str], Options] = {}
    # Not str.split(): in etab, what is white space to Unicode alone is not escaped.
    for line in text.split("\n"):
        path, *clients = re.split("[ \t]+", line)
        if path.startswith("/"):
            for client in filter(None, map(_CLIENT.fullmatch, clients)):
                found[_unescape(path), client[1]] = tuple(client[2].split(","))
    return found


def changes(wanted: Table, before: Table, live: Table, roots: Iterable[str]) -> Changes:
    """What brings `live` to `wanted` and leaves everybody else's exports alone.

    Ours is what our file said `before`, and what goes to one machine (our way to write one: /32) at one of the `roots`
    or directly below it: what an attempt that failed half-way left is found again without a memory. Of the options
    only those count that we write; exportfs adds its defaults.
    """
    at = set(roots)
    ended = [
        key
        for key in live
        if key not in wanted
        and (key in before or (_ONE_MACHINE.fullmatch(key[1]) and (key[0] in at or key[0].rpartition("/")[0] in at)))
    ]
    begun: dict[Options, list[tuple[str, str]]] = {}
    for key, options in wanted.items():
        if not set(options) <= set(live.get(key, ())):
            begun.setdefault(options, []).append(key)
    return Changes(tuple(ended), {options: tuple(keys) for options, keys in begun.items()})


def _unescape(path: str) -> str:
    data = path.encode("utf-8", "surrogateescape")
    return _OCTAL.sub(lambda match: bytes([int(match[1], 8)]), data).decode("utf-8", "surrogateescape")
