"""A list of PCs that somebody brings: the text form of the allowlist, or a table from a spreadsheet. PURE.

One reader for `allow import` and the page. Whatever is wrong is said of every line, not only of the first, and then
nothing of the list is taken.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from appliance import allowlist
from appliance.admission import spreadsheet
from appliance.admission.spreadsheet import TableRow
from appliance.allowlist import Allowlist, BadLine, Entry, ListLine
from appliance.errors import UserError
from appliance.schedules.name import unknown
from image import names
from services.foreign_text import printable

MOST_SHOWN = 20
"""Bad lines that an error names."""

LONGEST_WHY = 300
"""Characters of what is wrong with one line: it quotes the line."""

_NOTHING = "nothing was changed"
_RUINED = "E+"
_SETTINGS = [name for name in spreadsheet.COLUMNS if name not in ("range", "label")]


@dataclass(frozen=True, slots=True)
class BroughtList:
    """The entries of a list, in its order. `unread` are headings of columns that were left out."""

    entries: tuple[Entry, ...]
    unread: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ListChanges:
    """What a list would change. `changed` has each entry as it is and as it would be; `same` counts the others."""

    new: tuple[Entry, ...]
    changed: tuple[tuple[Entry, Entry], ...]
    same: int


def read(
    content: bytes, source: str, schedules: Collection[str], locked: Collection[str], images: Collection[str]
) -> BroughtList:
    """Read a list; `source` is what people call it. `schedules` are those of the configuration, `locked` the menu
    entries that need a password, `images` the names of those that there are. Raises UserError, which names the bad
    lines."""
    try:
        text = spreadsheet.decode(content)
        table = spreadsheet.read(text)
    except ValueError as error:
        raise UserError(f"cannot read {source}: {error}", _NOTHING) from None
    lines, bad = allowlist.read_lines(text) if table is None else _read_table(table.rows)
    bad += [BadLine(each.number, why) for each in lines if (why := _unusable(each.entry, schedules, locked, images))]
    if bad:
        raise _bad_lines(source, bad)
    return BroughtList(tuple(each.entry for each in lines), table.unread if table else ())


def compare(before: Allowlist, entries: Iterable[Entry]) -> ListChanges:
    """What the entries would change: one that is there already gets their label and settings, and keeps the others."""
    new: list[Entry] = []
    changed: list[tuple[Entry, Entry]] = []
    same = 0
    for entry in entries:
        known = before.find(entry.range)
        if known is None:
            new.append(entry)
        elif (after := merged(known, entry)) != known:
            changed.append((known, after))
        else:
            same += 1
    return ListChanges(tuple(new), tuple(changed), same)


def merged(known: Entry, brought: Entry) -> Entry:
    """An entry with what a list says of it: Registry.allow does the same."""
    old, new = known.settings, brought.settings
    return Entry(
        known.range,
        brought.label or known.label,
        allowlist.BootSettings(
            new.root or old.root,
            new.entry or old.entry,
            old.timeout if new.timeout is None else new.timeout,
            new.schedule or old.schedule,
            new.image or old.image,
        ),
    )


def _read_table(rows: Iterable[TableRow]) -> tuple[list[ListLine], list[BadLine]]:
    found: list[ListLine] = []
    bad: list[BadLine] = []
    for row in rows:
        try:
            found.append(ListLine(row.line, _entry(row)))
        except ValueError as error:
            bad.append(BadLine(row.line, str(error)))
    return found, bad + allowlist.repeated(found)


def _entry(row: TableRow) -> Entry:
    cells = row.cells
    if row.spare:
        raise ValueError(f"{printable(row.spare[0], 60)!r} stands under no heading: quote what belongs together")
    if not cells.get("range"):
        raise ValueError("there is no MAC address")
    if _RUINED in cells["range"].upper():
        raise ValueError(f"{printable(cells['range'], 60)!r}: the spreadsheet made a number of it; format it as text")
    words = [f"{name}={cells[name]}" for name in _SETTINGS if cells.get(name)]
    return allowlist.entry_of(cells["range"], cells.get("label", ""), allowlist.settings(words))


def _unusable(entry: Entry, schedules: Collection[str], locked: Collection[str], images: Collection[str]) -> str:
    own, span = entry.settings, entry.range
    if why := allowlist.not_of_pcs(span):
        return why
    if span.size > allowlist.WIDEST:
        return f"{span} has {span.size:,} addresses: one so wide goes in alone, by allow add {span} --yes"
    if own.schedule and own.schedule not in schedules:
        return ": ".join(filter(None, unknown(own.schedule, schedules)))
    if own.image and own.image not in images:
        return ": ".join(names.unknown(own.image, images))
    if own.entry in locked:
        return f"{own.entry} is locked in [menu], and nobody will be there to type the password"
    return ""


def _bad_lines(source: str, bad: Iterable[BadLine]) -> UserError:
    found = sorted(bad, key=lambda each: each.number)
    lines = [f"{source}:{each.number}: {printable(each.why, LONGEST_WHY)}" for each in found[:MOST_SHOWN]]
    if len(found) > MOST_SHOWN:
        lines.append(f"and {len(found) - MOST_SHOWN} more")
    return UserError("; ".join(lines), f"{_NOTHING}; correct the file, and import it again")
