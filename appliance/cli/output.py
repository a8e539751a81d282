"""The one door to the terminal: lines and tables for people, JSON for scripts.

What is printed may come from outside: a PC's report, a release's manifest, a label. Whatever passes here is harmless to
the terminal (services/foreign_text.py), and stays on the line that it belongs to.
"""

import json
import re
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import typer

from services.foreign_text import printable

if TYPE_CHECKING:
    from rich.console import Console

_LONGEST_LINE = 1 << 16
"""Characters. Only a value that nobody bounded is longer."""
_MOST_FITTED = 1000
"""Rows of a table that is fitted to the terminal, which takes 0.2 ms a row."""
_ADDRESS = re.compile(r"([0-9a-f]{2}:){5}[0-9a-f]{2}(/\d+|-([0-9a-f]{2}:){5}[0-9a-f]{2})?")


def say(*lines: str, err: bool = False) -> None:
    """Print lines, to standard error if `err`. A line end inside one of them is shown, and ends nothing."""
    typer.echo("\n".join(printable(line, _LONGEST_LINE) for line in lines), err=err)


def show_text(text: str) -> None:
    """Print a text of many lines as it is, such as a file for another program. Its line ends and tabs are kept."""
    *lines, rest = text.split("\n")
    shown = "".join(f"{_line(line)}\n" for line in lines) + _line(rest)
    typer.echo(shown, nl=False)


def show_bytes(chunks: Iterable[bytes]) -> None:
    """Print the content of a file as it is; on a terminal, as a text."""
    if sys.stdout.isatty():
        show_text(b"".join(chunks).decode(errors="replace"))
        return
    for chunk in chunks:
        typer.echo(chunk, nl=False)


def _line(text: str) -> str:
    return "\t".join(printable(part, _LONGEST_LINE) for part in text.split("\t"))


def show_json(value: Any) -> None:
    """Print one JSON document; dataclasses become objects. All that is not ASCII is escaped."""
    typer.echo(json.dumps(value, indent=2, default=_fields))


def show_json_line(value: Any) -> None:
    """Print one JSON document on one line, at once: for documents that follow one another."""
    typer.echo(json.dumps(value, default=_fields))


def show_json_pages(pages: Iterable[Sequence[Any]]) -> None:
    """Print a JSON list of the values of all pages, one value a line, each page as soon as it is there."""
    between = "["
    for page in pages:
        lines = ",\n".join(json.dumps(value, default=_fields) for value in page)
        if lines:
            typer.echo(f"{between}\n{lines}", nl=False)
            between = ","
    typer.echo("[]" if between == "[" else "\n]")


def _fields(value: Any) -> dict[str, Any]:
    """A dataclass as an object: what asdict does, without its copies."""
    return {name: getattr(value, name) for name in value.__dataclass_fields__}


def show_table(headings: Sequence[str], rows: Sequence[Sequence[str]], empty: str) -> None:
    """Print rows under headings, or the sentence `empty`. Unless it goes to a terminal, no value is wrapped or cut; and
    on a terminal no MAC address is, nor a range of them."""
    if not rows:
        say(empty)
        return
    from rich.console import Console

    cells = [[printable(cell) for cell in row] for row in rows]
    console = Console()
    if console.is_terminal and len(rows) <= _MOST_FITTED:
        typer.echo(_fitted(console, headings, cells))
    else:
        typer.echo(_in_columns([list(headings), *cells]))


def _in_columns(rows: Sequence[Sequence[str]]) -> str:
    """Each column as wide as its widest cell: ten thousand rows take a tenth of a second."""
    from rich.cells import cell_len

    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell + " " * (w - cell_len(cell)) for cell, w in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def _fitted(console: "Console", headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """In the width of the terminal."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for heading, column in zip(headings, zip(*rows, strict=True), strict=True):
        table.add_column(heading, no_wrap=any(map(_ADDRESS.fullmatch, column)), overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    with console.capture() as captured:
        console.print(table)
    return "\n".join(line.rstrip() for line in captured.get().rstrip("\n").split("\n"))
