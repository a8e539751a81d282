"""Frozen dataclasses that are made with each packet, as cheap as they can be. PURE."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any, TypeVar, dataclass_transform

_Value = TypeVar("_Value")
_Reader = Callable[[object], tuple[object, ...]]
_known: dict[type, tuple[_Reader, dict[str, int]]] = {}


@dataclass_transform(frozen_default=True)
def value(kind: type[_Value]) -> type[_Value]:
    """`@dataclass(frozen=True, slots=True)`, but only the type checker holds that it is frozen: at run time that would
    make each object four times as expensive, a quarter of what the offer to a new PC costs."""
    return dataclass(slots=True, unsafe_hash=True)(kind)


def replace(before: _Value, **changes: object) -> _Value:
    """What dataclasses.replace does, in half the time. All fields must be arguments of the constructor, two at least.
    Raises KeyError for an unknown name."""
    kind = type(before)
    read, places = _known.get(kind) or _learn(kind)
    values = list(read(before))
    for name, new in changes.items():
        values[places[name]] = new
    return kind(*values)


def _learn(kind: Any) -> tuple[_Reader, dict[str, int]]:
    names = [field.name for field in fields(kind)]
    found = _known[kind] = attrgetter(*names), {name: place for place, name in enumerate(names)}
    return found
