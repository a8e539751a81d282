"""How verbs print: a table for people, JSON for scripts, times and sizes in words."""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import typer


def show_json(value: Any) -> None:
    """Print one JSON document; dataclasses become objects."""
    typer.echo(json.dumps(value, indent=2, default=asdict))


def show_table(headings: Sequence[str], rows: Sequence[Sequence[str]], empty: str) -> None:
    """Print rows under headings, or the sentence `empty`. Unless it goes to a terminal, no value is wrapped or cut."""
    if not rows:
        typer.echo(empty)
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        console = Console(width=10_000)
    table = Table(*headings, box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    with console.capture() as captured:
        console.print(table)
    typer.echo("\n".join(line.rstrip() for line in captured.get().rstrip("\n").split("\n")))


def ago(at: float, now: float | None = None) -> str:
    """How long ago a moment was, as `40 s ago` or `3 d ago`."""
    return f"{span((time.time() if now is None else now) - at)} ago"


def span(seconds: float) -> str:
    """A length of time in its largest fitting unit."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0, seconds):.0f} s"


def moment(at: float) -> str:
    """A moment in local time."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def counted(number: int, one: str, many: str) -> str:
    """A number with its noun."""
    return f"{number:,} {one if number == 1 else many}"


def size(count: int) -> str:
    """Bytes in decimal units."""
    for factor, unit in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} B"
