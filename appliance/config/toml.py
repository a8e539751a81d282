"""Reads TOML into frozen dataclasses, one per section. Errors name the line and what would be right. PURE.

Knows nothing of the sections: appliance/config/file.py passes them in. Never writes TOML.
"""

import contextlib
import dataclasses
import datetime
import difflib
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from ipaddress import AddressValueError
from pathlib import Path
from types import UnionType
from typing import Any, Literal, NoReturn, get_args, get_origin, get_type_hints

from appliance.errors import UserError
from services.foreign_text import printable

_KINDS = {
    str: "write text in quotes",
    int: "write a whole number",
    float: "write a number",
    bool: "write true or false",
}


def read(text: str, path: Path, sections: Mapping[str, Any]) -> dict[str, Any]:
    """The sections that `text` has, each as its dataclass; raises UserError. `path` is for messages only.

    A field's type is str, int, float, bool, date, a Literal, a tuple of one type, one type or a tuple of one, any of
    these or None, a dataclass (a subsection), a tuple of one dataclass (subsections of one name, `[[name]]`), or a type
    whose constructor takes text and raises ValueError. A section may also be a Mapping of names, of such a type, to one
    dataclass (`[section.name]`). A field `for_` is the key `for`.
    """
    try:
        tables = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not valid TOML: {error}", "quote text, and write lists in [ ]") from None
    file = _File(text, path, sections)
    values: dict[str, Any] = {}
    for name, table in tables.items():
        if name not in sections:
            file.unknown(name, sections, "")
        if (kind := _repeated(sections[name])) is not None:
            values[name] = file.sections(kind, table, name, "", name)
        elif not isinstance(table, dict):
            file.fail(f"{name} is a section, not a value", f"write [{name}] on a line of its own", "", name)
        elif get_origin(sections[name]) is Mapping:
            values[name] = file.named(sections[name], table, name)
        else:
            values[name] = file.section(sections[name], table, name)
    return values


def line_of(text: str, section: str, key: str, entry: int = 0) -> int | None:
    """The line (from 1) of `key` in `section`, else the section's line, else None. Of sections that have one name,
    `[[section]]`, it is the one with the number `entry`, from 1; 0: any."""
    current, found, entries = "", None, 0
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[+\s*([^\]]+?)\s*\]+", line):
            current = header[1]
            entries += current == section
            if current in (section, f"{section}.{key}".strip(".")) and (not entry or entries <= entry):
                found = number
        elif (
            current == section
            and entry in (0, entries)
            and key
            and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*[.=]", line)
        ):
            return number
    return found


def _repeated(hint: Any) -> type | None:
    """The dataclass of which the hint wants a tuple, or None."""
    kind = get_args(hint)[0] if get_origin(hint) is tuple else None
    return kind if dataclasses.is_dataclass(kind) and isinstance(kind, type) else None


class _File:
    """Keeps the text, so that each error can name its line."""

    def __init__(self, text: str, path: Path, sections: Mapping[str, Any]) -> None:
        self.text = text
        self.path = path
        self._sections = sections

    def section(self, kind: type, table: Mapping[str, Any], name: str, entry: int = 0) -> Any:
        """The dataclass of one section; `entry` is its number among those of this name, or 0 if there can be only
        one."""
        hints = get_type_hints(kind)
        fields = {field.rstrip("_"): field for field in hints}
        values: dict[str, Any] = {}
        for key, value in table.items():
            if key not in fields:
                self.unknown(key, fields, name, entry)
            values[fields[key]] = self._value(hints[fields[key]], value, name, key, entry)
        try:
            return kind(**values)
        except ValueError as error:
            key = next((key for key in table if re.match(rf"{key}\b", str(error))), "")
            self.fail(f"{_title(name, entry)} {error}", "", name, key, entry)

    def sections(self, kind: type, value: Any, name: str, parent: str, key: str) -> tuple[Any, ...]:
        """The dataclasses of all sections of one name; `parent` and `key` are where it is written."""
        if not isinstance(value, list) or not all(isinstance(table, dict) for table in value):
            self.fail(f"{key} is a list of sections", f"write [[{name}]] on a line of its own", parent, key)
        return tuple(self.section(kind, table, name, entry) for entry, table in enumerate(value, 1))

    def named(self, hint: Any, table: Mapping[str, Any], name: str) -> dict[str, Any]:
        """The dataclasses of the subsections of `name`, by their names; `hint` has the types of both."""
        naming, kind = get_args(hint)
        found = {}
        for key, value in table.items():
            section = f"{name}.{key}"
            if not isinstance(value, dict):
                self.fail(f"{key} is a section", f"write [{section}] on a line of its own", name, key)
            try:
                found[_convert(naming, key)] = self.section(kind, value, section)
            except ValueError as error:
                self.fail(f"[{section}] {error}", "", section, "")
        return found

    def _value(self, hint: Any, value: Any, section: str, key: str, entry: int) -> Any:
        if (kind := _repeated(hint)) is not None:
            return self.sections(kind, value, f"{section}.{key}", section, key)
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            if not isinstance(value, dict):
                self.fail(f"{key} is a section", f"write [{section}.{key}]", section, key, entry)
            return self.section(hint, value, f"{section}.{key}")
        try:
            return _convert(hint, value)
        except ValueError as error:
            self.fail(f"{_title(section, entry)} {key} = {_as_toml(value)}: {error}", "", section, key, entry)

    def unknown(self, name: str, known: Iterable[str], section: str, entry: int = 0) -> NoReturn:
        close = difflib.get_close_matches(name, list(known), 1)
        hint = f"did you mean {close[0]}?" if close else f"known here: {', '.join(sorted(known))}"
        elsewhere = [each for each, kind in self._sections.items() if name in getattr(kind, "__dataclass_fields__", ())]
        if section and not close and len(elsewhere) == 1:
            hint = f"it belongs to [{elsewhere[0]}]"
        where = f" in {_title(section, entry)}" if section else ""
        self.fail(f"unknown {'key' if section else 'section'} {name!r}{where}", hint, section, name, entry)

    def fail(self, message: str, hint: str, section: str, key: str, entry: int = 0) -> NoReturn:
        line = line_of(self.text, section, key, entry)
        place = f"{self.path}:{line}" if line else str(self.path)
        raise UserError(f"{place}: {message}", hint)


def _title(section: str, entry: int) -> str:
    return f"[[{section}]]" if entry else f"[{section}]"


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


def _date(value: Any) -> datetime.date:
    """A date of TOML, in quotes or not."""
    with contextlib.suppress(ValueError):
        if type(value) is datetime.date:
            return value
        if isinstance(value, str):
            return datetime.date.fromisoformat(value)
    raise ValueError("write a date as 2026-12-24")


def _convert(hint: Any, value: Any) -> Any:
    """`value` from TOML as the type `hint`; raises ValueError with a message for people."""
    if get_origin(hint) is tuple:
        if not isinstance(value, list):
            raise ValueError("write a list in [ ]")
        return tuple(_convert(get_args(hint)[0], element) for element in value)
    if isinstance(hint, UnionType) and type(None) not in get_args(hint):
        return _convert(
            next(kind for kind in get_args(hint) if (get_origin(kind) is tuple) == isinstance(value, list)), value
        )
    if get_origin(hint) is Literal:
        if value not in get_args(hint):
            raise ValueError(f"must be one of {', '.join(each for each in get_args(hint) if isinstance(each, str))}")
        return value
    if type(None) in get_args(hint):
        return _convert(next(kind for kind in get_args(hint) if kind is not type(None)), value)
    if hint is datetime.date:
        return _date(value)
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
