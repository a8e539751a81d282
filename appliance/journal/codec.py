"""Events and boots as the registry stores them: JSON, by the names of their fields. PURE.

A boot's state is the fold of its events. It is stored so that nobody has to fold a hundred thousand boots again. A
state that this version does not understand counts as none: then the events are folded.
"""

import json
import math
import types
from collections.abc import Callable, Iterable
from dataclasses import fields
from functools import partial
from ipaddress import IPv4Address
from typing import Any, NoReturn, get_args, get_type_hints

from appliance.journal.timeline import AddressLost, Boot, Reached, Stage, Transfer
from appliance.registry.rows import text, whole
from services.ethernet import MacAddress
from services.events import Event, Returned
from services.values import replace

FORMAT = 2
"""Of states. Increase it when `fold` makes another state of the same events."""

_KINDS: dict[str, type] = {kind.__name__: kind for kind in (*get_args(Event), AddressLost)}
_HINTS = {name: get_type_hints(kind) for name, kind in _KINDS.items()}
_JSON_TYPES = (str, int, float, bool, dict)
_STAGES: dict[str, Stage] = {stage.value: stage for stage in Stage}
_OF_THE_ROW = frozenset({"id", "mac", "started", "token", "release"})
_USUAL = {field.name: field.default for field in fields(Boot) if field.name not in _OF_THE_ROW}
_dump = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def encode(event: Event | AddressLost) -> str:
    """The event's fields."""
    values = {name: getattr(event, name) for name in event.__dataclass_fields__}
    return json.dumps({k: v if isinstance(v, _JSON_TYPES) else str(v) for k, v in values.items()})


def decoded(rows: Iterable[tuple[float, str, str]]) -> Iterable[tuple[float, Event | AddressLost]]:
    """Rows of the registry as (at, event); skips kinds and fields that this version does not know. Raises one of
    INVALID_ROWS for what no version has written."""
    for at, kind, details in rows:
        if kind in _KINDS:
            yield at, _event(kind, details)


def encode_state(boot: Boot) -> str:
    """The boot without what its row holds anyway, and without what is as in every new boot: of a year of boots nothing
    else is kept."""
    values = {name: found for name, usual in _USUAL.items() if (found := getattr(boot, name)) != usual}
    for name, encoded in _ENCODED.items():
        if name in values:
            values[name] = encoded(values[name])
    return _dump([FORMAT, values])


def with_state(boot: Boot, state: str) -> Boot | None:
    """A boot of which only the row is known, with its stored state; None if this version cannot read that."""
    try:
        number, values = json.loads(state)
        if number != FORMAT or "last_event" not in values:
            return None
        return replace(boot, **(_USUAL | {name: _DECODED[name](value) for name, value in values.items()}))
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
        return None


def _event(kind: str, details: str) -> Any:
    hints = _HINTS[kind]
    return _KINDS[kind](**{name: _revive(hints[name], v) for name, v in json.loads(details).items() if name in hints})


def _transfer(values: list[Any]) -> Transfer:
    path, service, sent, size, failed = values
    return Transfer(text(path), text(service), whole(sent), whole(size), text(failed))


def _addresses(words: list[Any]) -> tuple[IPv4Address, ...]:
    return tuple(IPv4Address(text(word)) for word in words)


def _revive(hint: Any, value: Any) -> Any:
    if hint is MacAddress:
        return MacAddress.parse(value)
    if hint is float:
        return float(value) if type(value) in (int, float) and math.isfinite(value) else _invalid()
    if hint is int:
        return whole(value)
    if hint in (str, bool):
        return value if type(value) is hint else _invalid()
    if isinstance(hint, types.GenericAlias):
        return {text(name): text(word) for name, word in value.items()}
    return hint(text(value))


def _integer(value: Any) -> int:
    return value if type(value) is int else _invalid()


def _invalid() -> NoReturn:
    raise ValueError("a field has the wrong type")


# How the fields of a state are written that JSON does not have, and how each is read.
_ENCODED: dict[str, Callable[[Any], Any]] = {
    "reached": lambda reached: [(str(each.stage), each.at) for each in reached],
    "transfers": lambda transfers: [(t.path, t.service, t.sent, t.size, t.failed) for t in transfers],
    **dict.fromkeys(("addresses", "inherited", "lost"), lambda addresses: list(map(str, addresses))),
    "dhcp_server": str,
    "returned": encode,
}
_DECODED: dict[str, Callable[[Any], Any]] = {
    **{name: partial(_revive, hint) for name, hint in get_type_hints(Boot).items() if hint in (str, float, bool)},
    **dict.fromkeys(("xid", "architecture", "reports"), _integer),
    "reached": lambda values: tuple(Reached(_STAGES[stage], _revive(float, at)) for stage, at in values),
    "transfers": lambda values: tuple(map(_transfer, values)),
    **dict.fromkeys(("addresses", "inherited", "lost"), _addresses),
    # Versions before schema 6 wrote what a boot did not have, too.
    "dhcp_server": lambda value: value and IPv4Address(value),
    "returned": lambda value: value and _event(Returned.__name__, value),
}
