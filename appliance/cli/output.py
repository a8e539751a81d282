"""The one door to the terminal: lines and tables for people, JSON for scripts.

What is printed may come from outside: a PC's report, a release's manifest, a label. Whatever passes here is harmless to
the terminal (services/foreign_text.py), and stays on the line that it belongs to.
"""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import typer

from services.foreign_text import printable

_LONGEST_LINE = 1 << 16
"""Characters. Only a value that nobody bounded is longer."""


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
    """Print rows under headings, or the sentence `empty`. Unless it goes to a terminal, no value is wrapped or cut."""
    if not rows:
        say(empty)
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    if not console.is_terminal:
        console = Console(width=10_000)
    table = Table(*headings, box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    with console.capture() as captured:
        console.print(table)
    typer.echo("\n".join(line.rstrip() for line in captured.get().rstrip("\n").split("\n")))
