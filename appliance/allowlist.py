"""Who may boot: a set of MAC ranges, and which of them decides for one address. Empty means nobody.

A lookup is a bisection: the ranges, which may overlap, are cut once into disjoint segments that each know their
narrowest range. The numbers are kept in arrays: a million ranges take 60 bytes each, where objects took 600. The text
form (`allow export`, `import`, `edit`) has one range on each line, then its settings, then its label:
`52:54:00:* default=local timeout=5 root=http schedule=night image=lab room 12`.
"""

import heapq
import re
from array import array
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from appliance.config.menu import check_entry, check_timeout
from appliance.errors import UserError
from appliance.schedules.name import ScheduleName
from image.names import DEFAULT, check_name
from services.ethernet import HIGHEST, MacAddress, MacRange
from services.foreign_text import printable

ROOTS = ("nfs", "http")

WIDEST = 1 << 24
"""Addresses that a range usually has at most: those of one maker's prefix."""

_SETTING = re.compile(r"(?:default|timeout|root|schedule|image)=\S*")


@dataclass(frozen=True, slots=True)
class BootSettings:
    """What a range's PCs boot, where it differs from the configuration, and when they compute. `root` is "nfs" or
    "http", `entry` the name of the default menu entry, `timeout` the seconds to show the menu (0: no menu). Empty and
    None: as configured. `schedule`: the name of one of the configuration, which may have lost it; empty: at any time.
    `image`: the name of the image that they boot, which may have no active release; empty: the default one.
    """

    root: str = ""
    entry: str = ""
    timeout: int | None = None
    schedule: str = ""
    image: str = ""

    def __str__(self) -> str:
        """The settings in the form that `settings` reads: `default=local timeout=5`."""
        timeout = "" if self.timeout is None else str(self.timeout)
        words = {"default": self.entry, "timeout": timeout, "root": self.root}
        words |= {"schedule": self.schedule, "image": self.image}
        return " ".join(f"{key}={value}" for key, value in words.items() if value)


_AS_CONFIGURED = BootSettings()


@dataclass(frozen=True, order=True, slots=True)
class Entry:
    """One allowed range, the administrator's label for it, and its settings."""

    range: MacRange
    label: str = ""
    settings: BootSettings = _AS_CONFIGURED


_NOBODY = -1


def _addresses() -> "array[int]":
    return array("Q")


def _indices() -> "array[int]":
    return array("q")


@dataclass(frozen=True)
class Allowlist:
    """An immutable, sorted list of entries; build a new one to change it.

    `addresses` is the number of addresses in the entries; one that is in several of them counts several times.
    """

    addresses: int = 0
    _firsts: "array[int]" = field(default_factory=_addresses, repr=False)
    _lasts: "array[int]" = field(default_factory=_addresses, repr=False)
    _labels: list[str] = field(default_factory=list, repr=False)
    _settings: list[BootSettings] = field(default_factory=list, repr=False)
    _starts: "array[int]" = field(default_factory=_addresses, repr=False, compare=False)
    _deciding: "array[int]" = field(default_factory=_indices, repr=False, compare=False)

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> "Allowlist":
        """Build the list, in O(n log n)."""
        ordered = sorted(entries, key=lambda entry: entry.range)
        return cls.read((e.range.first.value, e.range.last.value, e.label, e.settings) for e in ordered)

    @classmethod
    def read(cls, rows: Iterable[tuple[int, int, str, BootSettings]]) -> "Allowlist":
        """Build the list from rows of first address, last address, label and settings, sorted by the addresses."""
        firsts, lasts = _addresses(), _addresses()
        labels: list[str] = []
        settings: list[BootSettings] = []
        for first, last, label, own in rows:
            firsts.append(first)
            lasts.append(last)
            labels.append(label)
            settings.append(own)
        addresses = sum(lasts) - sum(firsts) + len(firsts)
        return cls(addresses, firsts, lasts, labels, settings, *_segments(firsts, lasts))

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All entries, built anew each time."""
        return tuple(self._entry(index) for index in range(len(self)))

    def page(self, skip: int, most: int) -> tuple[Entry, ...]:
        """`most` entries behind the first `skip` ones, built anew each time."""
        return tuple(self._entry(index) for index in range(skip, min(skip + most, len(self))))

    @property
    def schedules(self) -> Counter[str]:
        """How many entries have each schedule; empty: none."""
        return Counter(own.schedule for own in self._settings)

    @property
    def images(self) -> Counter[str]:
        """How many entries have each image."""
        return Counter(own.image or DEFAULT for own in self._settings)

    def find(self, span: MacRange) -> Entry | None:
        """The entry with exactly this range, or None."""
        at = bisect_left(self._firsts, span.first.value)
        same = range(at, bisect_right(self._firsts, span.first.value, at))
        return next((self._entry(index) for index in same if self._lasts[index] == span.last.value), None)

    def __len__(self) -> int:
        return len(self._firsts)

    def decide(self, mac: MacAddress) -> Entry | None:
        """The narrowest entry that contains `mac`; None if it is not allowed. O(log n)."""
        at = bisect_right(self._starts, mac.value) - 1
        return self._entry(self._deciding[at]) if at >= 0 and self._deciding[at] != _NOBODY else None

    def image_of(self, mac: MacAddress) -> str:
        """The image that `mac` boots: that of its entry, or the default one."""
        at = bisect_right(self._starts, mac.value) - 1
        deciding = self._deciding[at] if at >= 0 else _NOBODY
        return (self._settings[deciding].image if deciding != _NOBODY else "") or DEFAULT

    def allows_number(self, value: int) -> bool:
        """Whether the MAC address with this number is allowed. Called for every packet of a flood, so it is kept
        fast."""
        at = bisect_right(self._starts, value)
        return at > 0 and self._deciding[at - 1] >= 0

    def __contains__(self, mac: MacAddress) -> bool:
        return self.allows_number(mac.value)

    def _entry(self, index: int) -> Entry:
        span = MacRange(MacAddress(self._firsts[index]), MacAddress(self._lasts[index]))
        return Entry(span, self._labels[index], self._settings[index])


def _segments(firsts: "array[int]", lasts: "array[int]") -> tuple["array[int]", "array[int]"]:
    """The addresses at which the deciding entry changes, ascending, and the index of the entry that decides from there
    on, or _NOBODY."""
    starts, deciding = _addresses(), _indices()
    covering: list[tuple[int, int]] = []  # a heap of (size, index); entries that have ended are removed at the top

    def decides(start: int, index: int) -> None:
        if starts and starts[-1] == start:
            deciding[-1] = index
        else:
            starts.append(start)
            deciding.append(index)

    def pass_by(until: int) -> None:
        """Remove what ends before `until`."""
        while covering and (end := lasts[covering[0][1]] + 1) <= until:
            while covering and lasts[covering[0][1]] < end:
                heapq.heappop(covering)
            decides(end, covering[0][1] if covering else _NOBODY)

    for index, first in enumerate(firsts):
        pass_by(first)
        heapq.heappush(covering, (lasts[index] - first, index))
        decides(first, covering[0][1])
    pass_by(HIGHEST + 1)
    return starts, deciding


def render(entries: Iterable[Entry]) -> str:
    """The text form of the entries."""
    return "".join("  ".join(filter(None, (str(e.range), str(e.settings), printable(e.label)))) + "\n" for e in entries)


@dataclass(frozen=True, slots=True)
class ListLine:
    """A line of a list that holds an entry, by its number from 1."""

    number: int
    entry: Entry


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line of a list that cannot be taken, and why."""

    number: int
    why: str


def parse(text: str, source: str) -> list[Entry]:
    """Read the text form: lines of `RANGE [SETTINGS] [LABEL]`, and `#` comments. Raises UserError for the first invalid
    line."""
    lines, bad = read_lines(text)
    if bad:
        first = min(bad, key=lambda each: each.number)
        raise UserError(f"{source}:{first.number}: {first.why}", "nothing was changed")
    return [each.entry for each in lines]


def read_lines(text: str) -> tuple[list[ListLine], list[BadLine]]:
    """Read the text form: the lines that hold entries, and all that are wrong."""
    found: list[ListLine] = []
    bad: list[BadLine] = []
    for number, line in enumerate(text.splitlines(), 1):
        content = line.split("#", 1)[0].strip()
        if not content:
            continue
        try:
            found.append(ListLine(number, _parse_line(content)))
        except ValueError as error:
            bad.append(BadLine(number, str(error)))
    return found, bad + repeated(found)


def repeated(lines: Iterable[ListLine]) -> list[BadLine]:
    """Those of the lines whose range was on an earlier one."""
    firsts: dict[tuple[int, int], int] = {}
    bad = []
    for each in lines:
        span = each.entry.range
        first = firsts.setdefault((span.first.value, span.last.value), each.number)
        if first != each.number:
            bad.append(BadLine(each.number, f"{span} is already on line {first}: keep one of the two"))
    return bad


def _parse_line(content: str) -> Entry:
    words = content.split()
    # People write "A - B label" with spaces; in every other form the first word is the range.
    end = 3 if len(words) >= 3 and words[1] == "-" else 1
    label = end
    while label < len(words) and _SETTING.fullmatch(words[label]):
        label += 1
    return entry_of("".join(words[:end]), " ".join(words[label:]), settings(words[end:label]))


def entry_of(text: str, label: str, settings: BootSettings = _AS_CONFIGURED) -> Entry:
    """An entry from what a person typed; raises ValueError."""
    if label != printable(label) or "#" in label:
        raise ValueError("a label is one line of printable text without #")
    if _SETTING.match(label.strip()):
        raise ValueError(f"a label cannot begin with a setting: {label!r}")
    return Entry(MacRange.parse(text), label.strip(), settings)


def not_of_pcs(span: MacRange) -> str:
    """Why no PC can have an address of this range, or "": IEEE 802 keeps the addresses of groups for receivers."""
    if span.last.value == 0:
        return "00:00:00:00:00:00 is the address of no machine"
    if span.first.value == HIGHEST:
        return "ff:ff:ff:ff:ff:ff is the address of all machines, and of none"
    if span.first.is_group and span.first.value >> 40 == span.last.value >> 40:
        return f"{span} is multicast: groups of machines have such addresses, and no PC has"
    return ""


def changed(entry: Entry, label: str | None, named: Mapping[str, str]) -> Entry:
    """The entry with this label, unless it is None, and with the settings that are `named`, as in the text form. An
    empty one is removed. Raises ValueError."""
    words = dict(word.split("=", 1) for word in str(entry.settings).split()) | dict(named)
    own = settings(f"{key}={value}" for key, value in words.items() if value)
    return entry_of(str(entry.range), entry.label if label is None else label, own)


def settings(words: Iterable[str]) -> BootSettings:
    """Read `default=ENTRY`, `timeout=SECONDS`, `root=nfs|http`, `schedule=NAME` and `image=NAME`, each at most once;
    raises ValueError."""
    found: dict[str, str] = {}
    for word in words:
        key, _, value = word.partition("=")
        if key in found:
            raise ValueError(f"{key}= appears twice")
        found[key] = value
    if not found:
        return _AS_CONFIGURED
    timeout, root = found.get("timeout"), found.get("root", "nfs")
    if root not in ROOTS:
        raise ValueError(f"root={root}: must be one of {', '.join(ROOTS)}")
    if timeout is not None and not re.fullmatch(r"\d{1,6}", timeout):
        raise ValueError(f"timeout={timeout}: must be whole seconds")
    return BootSettings(
        root=found.get("root", ""),
        entry=check_entry(found["default"]) if "default" in found else "",
        timeout=None if timeout is None else check_timeout(int(timeout)),
        schedule=ScheduleName(found["schedule"]) if "schedule" in found else "",
        image=check_name(found["image"]) if "image" in found else "",
    )
