"""Tables of a spreadsheet, saved as CSV: from bytes to cells, and the allowlist as such a table. PURE.

Reads what Excel, LibreOffice and inventory programs save: commas, semicolons or tabs, with a byte order mark or
without, UTF-8, UTF-16 or Windows-1252, quoted cells, a `sep=` line, the columns in any order under a heading, or
without a heading the range and then its label. Knows nothing of what the cells mean beyond their headings.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from appliance.allowlist import Entry
from services.ethernet import MacRange
from services.foreign_text import printable

COLUMNS = ("range", "label", "default", "timeout", "root", "schedule", "image")
"""What a table may hold, in the order in which it is written."""

MOST_COLUMNS = 1000
"""Of a table that is read."""

_HEADINGS = {
    "range": "range|ranges|mac|macs|mac address|mac addresses|macaddress|mac range|mac or range|address|"
    "hardware address|physical address|ethernet address|mac adresse|mac adressen|adresse mac|direccion mac",
    "label": "label|name|pc|pc name|computer|computer name|host|hostname|host name|bezeichnung|nom|nombre",
    "default": "default|default entry|entry|menu entry",
    "timeout": "timeout|menu timeout",
    "root": "root",
    "schedule": "schedule",
    "image": "image|live system",
}
_KNOWN = {heading: column for column, headings in _HEADINGS.items() for heading in headings.split("|")}
_DELIMITERS = ";,\t"
# Windows-1252 gives every byte but five a meaning: text has none of the others' control characters.
_NO_TEXT = re.compile("[\x00-\x08\x0e-\x1f\x7f]")
# Where a cell begins for a spreadsheet that splits at another sign than ours, too.
_FORMULA = re.compile(r"(?:^|(?<=[;,]))(?='*\s*[=+\-@＝＋－＠])")
_QUOTED_FORMULA = re.compile(f"{_FORMULA.pattern}'")


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row of a table, by its columns, and the line of the file on which it begins. `spare` are cells that stand
    under no heading."""

    line: int
    cells: dict[str, str]
    spare: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SheetTable:
    """The rows that hold something. `unread` are headings that say nothing to the allowlist."""

    rows: tuple[TableRow, ...]
    unread: tuple[str, ...] = ()


def decode(content: bytes) -> str:
    """The text of a file; raises ValueError if it is none."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        encodings: tuple[str, ...] = ("utf-16",)
    elif b"\x00" in content[:200]:
        # Excel's "Unicode text" without its mark: every other byte of Latin letters is zero.
        encodings = ("utf-16-le",) if content[1:2] == b"\x00" else ("utf-16-be",)
    else:
        encodings = ("utf-8-sig", "cp1252")
    for encoding in encodings:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if _NO_TEXT.search(text):
            raise ValueError("it is not text: save the table as CSV")
        return text
    raise ValueError("it is not text in UTF-8, UTF-16 or Windows-1252")


def read(text: str) -> SheetTable | None:
    """The table, or None if this is none: what has neither a heading for MAC addresses nor a range alone in the first
    cell of a row with delimiters. Raises ValueError if its headings or its quotes contradict each other."""
    named, begin = _named_delimiter(text)
    for delimiter in named or _DELIMITERS:
        first = next(_records(text, delimiter, begin, lenient=True), None)
        if first is None:
            return None
        if len(first[1]) > MOST_COLUMNS:
            raise ValueError(f"it has more than {MOST_COLUMNS:,} columns")
        headings = [_heading(cell) for cell in first[1]]
        if "range" in map(_KNOWN.get, headings):
            return _under_headings(first[1], headings, _records(text, delimiter, first[0]))
        # A tab without a heading is a space of the text form.
        if delimiter != "\t" and len(first[1]) > 1 and _is_range(first[1][0]):
            return _table(("range", "label"), _records(text, delimiter, begin))
    return None


def write(entries: Iterable[Entry]) -> str:
    """The entries as a table with headings, for any spreadsheet: begin the file with a byte order mark."""
    file = io.StringIO()
    table = csv.writer(file, lineterminator="\r\n")
    table.writerow(COLUMNS)
    for entry in entries:
        own = entry.settings
        timeout = "" if own.timeout is None else str(own.timeout)
        settings = (own.entry, timeout, own.root, own.schedule, own.image)
        table.writerow((str(entry.range), _quoted(printable(entry.label)), *settings))
    return file.getvalue()


def _quoted(label: str) -> str:
    """What a spreadsheet would take for a formula is marked as text, in its own way."""
    return _FORMULA.sub("'", label)


def _unquoted(cell: str) -> str:
    return _QUOTED_FORMULA.sub("", cell)


def _named_delimiter(text: str) -> tuple[str, int]:
    """What Excel's line `sep=;` says, or nothing; and how many lines to leave out."""
    found = re.match(r'"?sep=([;,\t])"?\r?\n', text)
    return (found[1], 1) if found else ("", 0)


def _records(text: str, delimiter: str, skip: int, *, lenient: bool = False) -> Iterator[tuple[int, list[str]]]:
    """Rows with something in them, each with the line on which it begins, after the first `skip` lines."""
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=not lenient)
    line = 1
    while True:
        try:
            cells = next(rows, None)
        except csv.Error as error:
            raise ValueError(f"line {line}: a quoted cell does not end, or is followed by more text: {error}") from None
        if cells is None:
            return
        begins, line = line, rows.line_num + 1
        cells = [_unquoted(cell.strip()) for cell in cells]
        if begins > skip and any(cells) and not cells[0].startswith("#"):
            yield begins, cells


def _heading(cell: str) -> str:
    return " ".join(re.sub(r"[\W_]+", " ", cell.casefold()).split())


def _is_range(cell: str) -> bool:
    try:
        MacRange.parse(cell)
    except ValueError:
        return False
    return True


def _under_headings(cells: Sequence[str], headings: Sequence[str], rows: Iterable[tuple[int, list[str]]]) -> SheetTable:
    columns: list[str] = []
    unread: list[str] = []
    for cell, heading in zip(cells, headings, strict=True):
        column = _KNOWN.get(heading, "")
        if column in columns:
            raise ValueError(f"two columns hold the {column}: {cells[columns.index(column)]!r} and {cell!r}")
        columns.append(column or f"\0{len(columns)}")
        if not column and cell:
            unread.append(printable(cell, 60))
    return _table(tuple(columns), rows, tuple(unread))


def _table(columns: tuple[str, ...], rows: Iterable[tuple[int, list[str]]], unread: tuple[str, ...] = ()) -> SheetTable:
    found = []
    for line, cells in rows:
        named = {column: cell for column, cell in zip(columns, cells, strict=False) if column in COLUMNS}
        found.append(TableRow(line, named, tuple(filter(None, cells[len(columns) :]))))
    return SheetTable(tuple(found), unread)
