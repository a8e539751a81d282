"""The allowlist in pages, and what a brought list would change, for people. PURE."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from appliance.admission.listing import ListChanges
from appliance.allowlist import Allowlist, Entry, render
from appliance.view.allowed import EntryView, entry_views
from services.ethernet import MacAddress, MacRange

PAGE = 200
MOST_SHOWN = 100
"""Entries on one page, and of each kind in a preview."""


@dataclass(frozen=True, slots=True)
class AllowedPage:
    """Some entries: those from number `begin` on, of `found` that match, of `all`. `addresses`: how many MAC addresses
    may boot."""

    entries: Sequence[EntryView]
    begin: int
    found: int
    all: int
    addresses: int

    @property
    def end(self) -> int:
        """The number after the last one shown."""
        return self.begin + len(self.entries)


@dataclass(frozen=True, slots=True)
class ChangedView:
    """An entry as it is and as it would be."""

    before: EntryView
    after: EntryView


@dataclass(frozen=True, slots=True)
class ListPreview:
    """What a list would change: some of the new and the changed entries, and how many there are. `text` is the whole
    list in the text form, `digest` names the allowlist that it was compared with."""

    new: Sequence[EntryView]
    changed: Sequence[ChangedView]
    added: int
    altered: int
    same: int
    unread: Sequence[str]
    text: str
    digest: str


def allowed_page(allowlist: Allowlist, words: str, begin: int) -> AllowedPage:
    """The entries with all of these words in range, label or settings. One that is a MAC address finds those that
    allow it."""
    entries = allowlist.entries
    sought = words.casefold().split()
    if sought:
        entries = tuple(each for each in entries if all(_has(each, word) for word in sought))
    begin = max(0, min(begin, len(entries) - 1)) if entries else 0
    shown = entry_views(entries[begin : begin + PAGE])
    return AllowedPage(shown, begin, len(entries), len(allowlist), allowlist.addresses)


def covered(span: MacRange, allowlist: Allowlist, known: Iterable[int]) -> list[MacAddress]:
    """Those of the PCs that have booted which would no longer be allowed without the entry of this range."""
    inside = [value for value in sorted(known) if span.first.value <= value <= span.last.value]
    rest = Allowlist.of(each for each in allowlist.entries if each.range != span)
    return [MacAddress(value) for value in inside if not rest.allows_number(value)]


def preview(before: Allowlist, entries: Sequence[Entry], changes: ListChanges, unread: Sequence[str]) -> ListPreview:
    """What these entries would change of the allowlist."""
    return ListPreview(
        new=entry_views(changes.new[:MOST_SHOWN]),
        changed=[ChangedView(*entry_views(pair)) for pair in changes.changed[:MOST_SHOWN]],
        added=len(changes.new),
        altered=len(changes.changed),
        same=changes.same,
        unread=unread,
        text=render(entries),
        digest=digest(before),
    )


def digest(allowlist: Allowlist) -> str:
    """A name for exactly this allowlist."""
    return hashlib.sha256(render(allowlist.entries).encode()).hexdigest()


def _has(entry: Entry, word: str) -> bool:
    if word in f"{entry.range} {entry.label} {entry.settings}".casefold():
        return True
    try:
        return MacAddress.parse(word) in entry.range
    except ValueError:
        return False
