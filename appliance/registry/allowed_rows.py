"""The allowlist's entries as rows of the registry, and the statements for them."""

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

from appliance.allowlist import Allowlist, BootSettings, Entry
from appliance.registry.rows import text, whole
from services.ethernet import HIGHEST

SELECT = "SELECT first, last, label, root, entry, timeout, schedule, image FROM allowed"
INSERT = (
    "INSERT INTO allowed (first, last, added, label, root, entry, timeout, schedule, image)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
# What a new row leaves empty stays as it is.
MERGE = "ON CONFLICT DO UPDATE SET timeout = ifnull(excluded.timeout, timeout), " + ", ".join(
    f"{name} = ifnull(nullif(excluded.{name}, ''), {name})" for name in ("label", "root", "entry", "schedule", "image")
)
UPDATE = "UPDATE allowed SET label = ?, root = ?, entry = ?, timeout = ?, schedule = ?, image = ?"


class KeptAllowlist:
    """The allowlist as it was read last, so that nobody reads it again until there is another edit, or another file.
    Threads may share one."""

    def __init__(self) -> None:
        self._kept: tuple[tuple[int, int], int, Allowlist] | None = None

    def of(self, file: tuple[int, int], edits: int) -> Allowlist | None:
        """What was read of this file after so many edits, or None."""
        kept = self._kept
        return kept[2] if kept and kept[:2] == (file, edits) else None

    def keep(self, file: tuple[int, int], edits: int, found: Allowlist) -> None:
        """Keep it, instead of what was read before."""
        self._kept = file, edits, found


def encode(entry: Entry, now: float) -> tuple[Any, ...]:
    """The row of an entry that is added now, for INSERT."""
    return entry.range.first.value, entry.range.last.value, now, *changeable(entry)


def changeable(entry: Entry) -> tuple[Any, ...]:
    """What an edit may change of the row, for UPDATE."""
    own = entry.settings
    return entry.label, own.root, own.entry, own.timeout, own.schedule, own.image


def decode(rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[int, int, str, BootSettings]]:
    """What `Allowlist.read` takes; raises one of INVALID_ROWS for what no version has written."""
    settings = cache(_settings)  # most entries share the same settings
    for first, last, label, *own in rows:
        # A million of them are read at the start: a MacRange for each would take seconds.
        if type(label) is not str or not 0 <= first <= last <= HIGHEST:
            raise ValueError("an entry is out of range")
        yield first, last, label, settings(*own)


def _settings(root: object, entry: object, timeout: object, schedule: object, image: object) -> BootSettings:
    seconds = None if timeout is None else whole(timeout)
    return BootSettings(text(root), text(entry), seconds, text(schedule), text(image))
