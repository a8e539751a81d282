"""The names of the packages that an archive has, and the nearest to a wrong one. PURE."""

import difflib
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

_PACKAGE = re.compile(rb"^Package: (\S+)$", re.MULTILINE)
_PROVIDES = re.compile(rb"^Provides: (.+)$", re.MULTILINE)
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789-+."
_MOST = 3


@dataclass(frozen=True, slots=True)
class UnknownPackage:
    """A name that no package has, and the nearest ones that some have, the likeliest first."""

    name: str
    near: tuple[str, ...]


def names(index: bytes) -> Iterator[str]:
    """The packages that an index (a file `Packages`) lists, and what they provide: apt installs that, too."""
    for match in _PACKAGE.finditer(index):
        yield match[1].decode()
    for match in _PROVIDES.finditer(index):
        for each in match[1].decode(errors="replace").split(","):
            yield each.split()[0].partition(":")[0] if each.strip() else ""


def unknown(wanted: Collection[str], known: Collection[str]) -> tuple[UnknownPackage, ...]:
    """Those of the wanted names that are not known. `known` is best a set."""
    return tuple(UnknownPackage(name, _near(name, known)) for name in wanted if name not in known)


def _near(name: str, known: Collection[str]) -> tuple[str, ...]:
    if one_off := sorted(each for each in _one_off(name) if each in known):
        # Two letters that changed places are the commonest slip, and another length the next.
        return tuple(sorted(one_off, key=lambda each: sorted(each) != sorted(name)))[:_MOST]
    # Comparing with all of them would take seconds.
    likely = [each for each in known if each[:1] == name[:1] and abs(len(each) - len(name)) <= 3]
    if found := difflib.get_close_matches(name, likely, _MOST, 0.75):
        return tuple(found)
    longer = sorted(
        (each for each in known if each.startswith((f"{name}-", f"lib{name}"))), key=lambda each: (len(each), each)
    )
    return tuple(longer[:_MOST])


def _one_off(name: str) -> set[str]:
    """All texts that are one slip away: a letter left out, doubled by another, changed, or swapped with the next."""
    halves = [(name[:at], name[at:]) for at in range(len(name) + 1)]
    return {
        *(head + tail[1:] for head, tail in halves if tail),
        *(head + tail[1] + tail[0] + tail[2:] for head, tail in halves if len(tail) > 1),
        *(head + letter + tail[1:] for head, tail in halves if tail for letter in _LETTERS),
        *(head + letter + tail for head, tail in halves for letter in _LETTERS),
    } - {name}
