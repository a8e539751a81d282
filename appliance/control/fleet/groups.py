"""The PCs of a room in groups, each under the label or the range that they share. PURE."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from appliance.control.fleet.pcs import KeptPc, PcFacts
from appliance.heartbeats.states import Kind
from appliance.view.status import PcCounts, pc_counts

SINGLE = "Single PCs"
FORBIDDEN = "No longer allowed"
NEW = "Asking for the first time"
_LAST = (SINGLE, FORBIDDEN)


@dataclass(frozen=True, slots=True)
class PcGroup:
    """PCs under one heading. `name` is made of letters and digits only, and stays the same as long as the heading
    does. `head` is the heading with its counts, as HTML."""

    title: str
    name: str
    pcs: tuple[KeptPc, ...]
    counts: PcCounts
    head: str = ""

    @property
    def macs(self) -> tuple[str, ...]:
        """Their MAC addresses."""
        return tuple(pc.facts.mac for pc in self.pcs)


def arrange(pcs: Iterable[PcFacts]) -> dict[str, tuple[str, ...]]:
    """The MAC addresses under each heading, both in the order in which they are shown.

    A label that several PCs share is a heading, and so is the range that allows several without a label. PCs with a
    label or a range of their own stand together.
    """
    placed = [(_heading(each), each) for each in pcs]
    many = Counter(heading for heading, _ in placed)
    found: dict[str, list[str]] = {}
    for heading, each in placed:
        own = each.alone and many[heading] == 1 and heading not in (FORBIDDEN, NEW)
        found.setdefault(SINGLE if own else heading, []).append(each.mac)
    return {heading: tuple(sorted(found[heading])) for heading in sorted(found, key=_order)}


def groups(places: Mapping[str, Sequence[str]], pcs: Mapping[str, KeptPc]) -> tuple[PcGroup, ...]:
    """The groups with their PCs, as `arrange` has placed them."""
    made = []
    for title, macs in places.items():
        members = tuple(pcs[mac] for mac in macs)
        made.append(PcGroup(title, _name(title), members, counts(each.facts for each in members)))
    return tuple(made)


def counts(pcs: Iterable[PcFacts]) -> PcCounts:
    """How many are in each state, of those that have loaded something."""
    found = Counter(each.kind for each in pcs if each.loaded and each.kind)
    return pc_counts({kind: found[kind] for kind in Kind})


def on_of(many: PcCounts) -> str:
    """A group's counts in words, such as `28 of 30 on`."""
    return f"{many.on:,} of {many.known:,} on" if many.known else ""


def _heading(pc: PcFacts) -> str:
    if not pc.loaded:
        return NEW
    if not pc.allowed:
        return FORBIDDEN
    return pc.label or (SINGLE if pc.alone else pc.place)


def _order(heading: str) -> tuple[bool, int, list[tuple[int, str]]]:
    """First those that ask for the first time, then by name, "room 2" before "room 12"."""
    last = _LAST.index(heading) if heading in _LAST else -1
    return heading != NEW, last, _natural(heading)


def _natural(text: str) -> list[tuple[int, str]]:
    parts: list[tuple[int, str]] = []
    digits = ""
    for letter in text.casefold() + "\0":
        if letter.isdecimal():
            digits += letter
            continue
        if digits:
            parts.append((int(digits), ""))
            digits = ""
        parts.append((0, letter))
    return parts


def _name(title: str) -> str:
    return "g" + hashlib.sha256(title.encode("utf-8", "replace")).hexdigest()[:12]
