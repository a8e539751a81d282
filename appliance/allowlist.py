"""Who may boot: a set of MAC ranges, and which of them decides for one address. Empty means nobody.

A lookup is a bisection: the ranges, which may overlap, are cut once into disjoint segments that each know their
narrowest range. The text form (`allow export`, `import`, `edit`) is one range a line, then its label.
"""

import bisect
import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field

from appliance.errors import UserError
from services.ethernet import MacAddress, MacRange


@dataclass(frozen=True, slots=True)
class BootSettings:
    """What a range's PCs boot, where it differs from the configuration: `root` is "nfs" or "http", `entry` the name of
    the menu entry that is the default, `timeout` the seconds that the menu waits (0: no menu). Empty and None: as
    configured."""

    root: str = ""
    entry: str = ""
    timeout: int | None = None


@dataclass(frozen=True, order=True, slots=True)
class Entry:
    """One allowed range, what the administrator calls it, and how its PCs boot."""

    range: MacRange
    label: str = ""
    settings: BootSettings = BootSettings()


@dataclass(frozen=True)
class Allowlist:
    """An immutable list of entries, sorted; build a new one when it changes."""

    entries: tuple[Entry, ...] = ()
    _starts: list[int] = field(default_factory=list, repr=False, compare=False)
    _deciding: list[Entry | None] = field(default_factory=list, repr=False, compare=False)

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> "Allowlist":
        """Build the list, in O(n log n)."""
        ordered = tuple(sorted(entries))
        return cls(ordered, *_segments(ordered))

    def decide(self, mac: MacAddress) -> Entry | None:
        """The narrowest entry that holds `mac`, or None: not allowed. O(log n)."""
        at = bisect.bisect_right(self._starts, mac.value) - 1
        return self._deciding[at] if at >= 0 else None

    def __contains__(self, mac: MacAddress) -> bool:
        return self.decide(mac) is not None


def _segments(ordered: tuple[Entry, ...]) -> tuple[list[int], list[Entry | None]]:
    """Where the deciding entry changes, and to which one: starts (ascending) and entries, of equal length."""
    bounds = sorted({bound for e in ordered for bound in (e.range.first.value, e.range.last.value + 1)})
    starts: list[int] = []
    deciding: list[Entry | None] = []
    covering: list[tuple[int, int, Entry]] = []  # a heap by size; entries that have ended leave when they surface
    upcoming = 0
    for bound in bounds:
        while upcoming < len(ordered) and ordered[upcoming].range.first.value == bound:
            entry = ordered[upcoming]
            heapq.heappush(covering, (entry.range.size, upcoming, entry))
            upcoming += 1
        while covering and covering[0][2].range.last.value < bound:
            heapq.heappop(covering)
        starts.append(bound)
        deciding.append(covering[0][2] if covering else None)
    return starts, deciding


def render(entries: Iterable[Entry]) -> str:
    """The text form of the entries."""
    return "".join(f"{e.range}  {e.label}".rstrip() + "\n" for e in entries)


def parse(text: str, source: str) -> list[Entry]:
    """Read the text form: `RANGE [LABEL]` a line, `#` comments. All of it or, as a UserError, none of it."""
    entries: dict[MacRange, Entry] = {}
    lines: dict[MacRange, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        content = line.split("#", 1)[0].strip()
        if not content:
            continue
        try:
            entry = _parse_line(content)
        except ValueError as error:
            raise UserError(f"{source}:{number}: {error}", "nothing was changed") from None
        if entry.range in entries:
            raise UserError(
                f"{source}:{number}: {entry.range} stands on line {lines[entry.range]} already",
                "nothing was changed; keep one of the two lines",
            )
        entries[entry.range] = entry
        lines[entry.range] = number
    return list(entries.values())


def _parse_line(content: str) -> Entry:
    words = content.split()
    # "A - B label" is written with spaces by people; everywhere else the first word is the range.
    if len(words) >= 3 and words[1] == "-":
        return entry_of("".join(words[:3]), " ".join(words[3:]))
    return entry_of(words[0], " ".join(words[1:]))


def entry_of(text: str, label: str) -> Entry:
    """An entry from what a person wrote; raises ValueError."""
    if any(not character.isprintable() for character in label) or "#" in label:
        raise ValueError("a label is one line of printable text without #")
    return Entry(MacRange.parse(text), label.strip())
