"""Values of TOML as the types that the configuration wants, and where in the file they stand. PURE.

What is wrong is a ValueError in words for people; appliance/config/file.py adds the place.
"""

import re
from collections.abc import Callable
from typing import Any, Literal, get_args, get_origin


def line_of(text: str, section: str, key: str) -> int | None:
    """The line (from 1) where `key` of `section` is written, else the section's, else None. For messages only."""
    current, found = "", None
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[+\s*([^\]]+?)\s*\]+", line):
            current = header[1]
            if current in (section, f"{section}.{key}".strip(".")):
                found = number
        elif current == section and key and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*[.=]", line):
            return number
    return found


def as_toml(value: Any) -> str:
    """A value as it stands in a file; for messages only."""
    if isinstance(value, str):
        return f'"{value}"'
    return str(value).lower() if isinstance(value, bool) else str(value)


def convert(hint: Any, value: Any) -> Any:
    """`value` of TOML as the type `hint`; raises ValueError in words for people."""
    if get_origin(hint) is tuple:
        if not isinstance(value, list):
            raise ValueError("write a list, in [ ]")
        return tuple(convert(get_args(hint)[0], element) for element in value)
    if hint == str | tuple[str, ...]:
        return convert(tuple[str, ...] if isinstance(value, list) else str, value)
    if get_origin(hint) is Literal:
        if value not in get_args(hint):
            raise ValueError(f"one of {', '.join(map(str, get_args(hint)))}")
        return value
    if type(None) in get_args(hint):
        return convert(next(kind for kind in get_args(hint) if kind is not type(None)), value)
    if hint is float and type(value) is int:
        return float(value)
    if hint in (str, int, float, bool):
        if type(value) is not hint:
            raise ValueError({str: "write text in quotes", int: "write a whole number", float: "write a number",
                              bool: "write true or false"}[hint])  # fmt: skip
        return value
    if not isinstance(value, str):
        raise ValueError("write text in quotes")
    reader: Callable[[str], Any] = hint
    return reader(value)
