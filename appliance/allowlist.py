"""Who may boot: a set of MAC ranges, and which of them decides for one address. Empty means nobody.

A lookup is a bisection: the ranges, which may overlap, are cut once into disjoint segments that each know their
narrowest range. The text form (`allow export`, `import`, `edit`) is one range a line, then how its PCs boot, then its
label: `52:54:00:* default=local timeout=5 root=http room 12`.
"""

import bisect
import heapq
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from appliance.errors import UserError
from appliance.menusettings import check_entry, check_timeout
from services.ethernet import MacAddress, MacRange

ROOTS = ("nfs", "http")

_SETTING = re.compile(r"(?:default|timeout|root)=\S*")


@dataclass(frozen=True, slots=True)
class BootSettings:
    """What a range's PCs boot, where it differs from the configuration: `root` is "nfs" or "http", `entry` the name of
    the menu entry that is the default, `timeout` the seconds that the menu waits (0: no menu). Empty and None: as
    configured."""

    root: str = ""
    entry: str = ""
    timeout: int | None = None

    def __str__(self) -> str:
        """The settings as `settings` reads them: `default=local timeout=5`."""
        timeout = "" if self.timeout is None else str(self.timeout)
        words = (("default", self.entry), ("timeout", timeout), ("root", self.root))
        return " ".join(f"{key}={value}" for key, value in words if value)


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

    def holds(self, value: int) -> bool:
        """Whether the MAC address with this number is allowed: the same question, as fast as a flood needs it."""
        at = bisect.bisect_right(self._starts, value) - 1
        return at >= 0 and self._deciding[at] is not None

    def __contains__(self, mac: MacAddress) -> bool:
        return self.holds(mac.value)


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
    return "".join("  ".join(filter(None, (str(e.range), str(e.settings), e.label))) + "\n" for e in entries)


def parse(text: str, source: str) -> list[Entry]:
    """Read the text form: `RANGE [SETTINGS] [LABEL]` a line, `#` comments. All of it or, as a UserError, none of it."""
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
    end = 3 if len(words) >= 3 and words[1] == "-" else 1
    label = end
    while label < len(words) and _SETTING.fullmatch(words[label]):
        label += 1
    return entry_of("".join(words[:end]), " ".join(words[label:]), settings(words[end:label]))


def entry_of(text: str, label: str, settings: BootSettings = BootSettings()) -> Entry:
    """An entry from what a person wrote; raises ValueError."""
    if any(not character.isprintable() for character in label) or "#" in label:
        raise ValueError("a label is one line of printable text without #")
    if _SETTING.match(label.strip()):
        raise ValueError(f"a label does not begin with a setting: {label!r}")
    return Entry(MacRange.parse(text), label.strip(), settings)


def settings(words: Iterable[str]) -> BootSettings:
    """Read `default=ENTRY`, `timeout=SECONDS` and `root=nfs|http`, each at most once; raises ValueError."""
    found: dict[str, str] = {}
    for word in words:
        key, _, value = word.partition("=")
        if key in found:
            raise ValueError(f"{key}= stands there twice")
        found[key] = value
    timeout, root = found.get("timeout"), found.get("root", "nfs")
    if root not in ROOTS:
        raise ValueError(f"root={root}: one of {', '.join(ROOTS)}")
    if timeout is not None and not re.fullmatch(r"\d{1,6}", timeout):
        raise ValueError(f"timeout={timeout}: whole seconds")
    return BootSettings(
        root=found.get("root", ""),
        entry=check_entry(found["default"]) if "default" in found else "",
        timeout=None if timeout is None else check_timeout(int(timeout)),
    )
