"""Reads TOML into frozen dataclasses, one per section. Errors name the line and what would be right. PURE.

Knows nothing of the sections: appliance/config/file.py passes them in. Never writes TOML.
"""

import dataclasses
import difflib
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from ipaddress import AddressValueError
from pathlib import Path
from typing import Any, Literal, NoReturn, get_args, get_origin, get_type_hints

from appliance.errors import UserError
from services.foreign_text import printable

_KINDS = {
    str: "write text in quotes",
    int: "write a whole number",
    float: "write a number",
    bool: "write true or false",
}


def read(text: str, path: Path, sections: Mapping[str, type]) -> dict[str, Any]:
    """The sections that `text` has, each as its dataclass; raises UserError. `path` is for messages only.

    A field's type is str, int, float, bool, a Literal, a tuple of one type, `str | tuple[str, ...]`, any of these or
    None, a dataclass (a subsection), or a type whose constructor takes text and raises ValueError.
    """
    try:
        tables = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not valid TOML: {error}", "quote text, and write lists in [ ]") from None
    file = _File(text, path)
    values: dict[str, Any] = {}
    for name, table in tables.items():
        if name not in sections:
            file.unknown(name, sections, "")
        if not isinstance(table, dict):
            file.fail(f"{name} is a section, not a value", f"write [{name}] on a line of its own", "", name)
        values[name] = file.section(sections[name], table, name)
    return values


def line_of(text: str, section: str, key: str) -> int | None:
    """The line (from 1) of `key` in `section`, else the section's line, else None."""
    current, found = "", None
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[+\s*([^\]]+?)\s*\]+", line):
            current = header[1]
            if current in (section, f"{section}.{key}".strip(".")):
                found = number
        elif current == section and key and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*[.=]", line):
            return number
    return found


class _File:
    """Keeps the text, so that each error can name its line."""

    def __init__(self, text: str, path: Path) -> None:
        self.text = text
        self.path = path

    def section(self, kind: type, table: Mapping[str, Any], name: str) -> Any:
        hints = get_type_hints(kind)
        values: dict[str, Any] = {}
        for key, value in table.items():
            if key not in hints:
                self.unknown(key, hints, name)
            values[key] = self._value(hints[key], value, name, key)
        try:
            return kind(**values)
        except ValueError as error:
            key = next((key for key in values if re.match(rf"{key}\b", str(error))), "")
            self.fail(f"[{name}] {error}", "", name, key)

    def _value(self, hint: Any, value: Any, section: str, key: str) -> Any:
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            if not isinstance(value, dict):
                self.fail(f"{key} is a section", f"write [{section}.{key}]", section, key)
            return self.section(hint, value, f"{section}.{key}")
        try:
            return _convert(hint, value)
        except ValueError as error:
            self.fail(f"[{section}] {key} = {_as_toml(value)}: {error}", "", section, key)

    def unknown(self, name: str, known: Iterable[str], section: str) -> NoReturn:
        close = difflib.get_close_matches(name, list(known), 1)
        hint = f"did you mean {close[0]}?" if close else f"known here: {', '.join(sorted(known))}"
        where = f" in [{section}]" if section else ""
        self.fail(f"unknown {'key' if section else 'section'} {name!r}{where}", hint, section, name)

    def fail(self, message: str, hint: str, section: str, key: str) -> NoReturn:
        line = line_of(self.text, section, key)
        place = f"{self.path}:{line}" if line else str(self.path)
        raise UserError(f"{place}: {message}", hint)


def _as_toml(value: Any) -> str:
    """A value as it is written in a file; for messages only."""
    if isinstance(value, list):
        return f"[{', '.join(map(_as_toml, value))}]"
    if isinstance(value, str):
        return f'"{value}"'
    return str(value).lower() if isinstance(value, bool) else str(value)


def _on_one_line(text: str) -> str:
    if text != printable(text, len(text) + 1):
        raise ValueError("write text on one line, without control characters")
    return text


def _convert(hint: Any, value: Any) -> Any:
    """`value` from TOML as the type `hint`; raises ValueError with a message for people."""
    if get_origin(hint) is tuple:
        if not isinstance(value, list):
            raise ValueError("write a list in [ ]")
        return tuple(_convert(get_args(hint)[0], element) for element in value)
    if hint == str | tuple[str, ...]:
        return _convert(tuple[str, ...] if isinstance(value, list) else str, value)
    if get_origin(hint) is Literal:
        if value not in get_args(hint):
            raise ValueError(f"must be one of {', '.join(map(str, get_args(hint)))}")
        return value
    if type(None) in get_args(hint):
        return _convert(next(kind for kind in get_args(hint) if kind is not type(None)), value)
    if hint is float and type(value) is int:
        return float(value)
    if hint in _KINDS:
        if type(value) is not hint:
            raise ValueError(_KINDS[hint])
        return _on_one_line(value) if hint is str else value
    if not isinstance(value, str):
        raise ValueError(_KINDS[str])
    _on_one_line(value)
    reader: Callable[[str], Any] = hint
    try:
        return reader(value)
    except AddressValueError:
        # Python's own message ("Expected 4 octets") does not say what is expected.
        raise ValueError(f"{value!r} is not an IPv4 address") from None
