"""Events and boots as the registry stores them: JSON, by the names of their fields. PURE.

A boot's state is the fold of its events. It is stored so that nobody has to fold a hundred thousand boots again. A
state that this version does not understand counts as none: then the events are folded.
"""

import json
import math
import types
from collections.abc import Iterable
from dataclasses import fields, replace
from ipaddress import IPv4Address
from typing import Any, NoReturn, get_args, get_type_hints

from appliance.journal.timeline import AddressLost, Boot, Reached, Stage, Transfer
from appliance.registry.rows import text, whole
from services.ethernet import MacAddress
from services.events import Event, Returned

FORMAT = 2
"""Of states. Increase it when `fold` makes another state of the same events."""

_KINDS: dict[str, type] = {kind.__name__: kind for kind in (*get_args(Event), AddressLost)}
_HINTS = {name: get_type_hints(kind) for name, kind in _KINDS.items()}
_JSON_TYPES = (str, int, float, bool, dict)
_STAGES: dict[str, Stage] = {stage.value: stage for stage in Stage}
_OF_THE_ROW = frozenset({"id", "mac", "started", "token", "release"})
_STORED = tuple(field.name for field in fields(Boot) if field.name not in _OF_THE_ROW)
_PLAIN = {name: hint for name, hint in get_type_hints(Boot).items() if name in _STORED and hint in (str, float, bool)}
_ADDRESSES = ("addresses", "inherited", "lost")
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
    """The boot without what its row holds anyway."""
    values = {name: getattr(boot, name) for name in _STORED}
    values["reached"] = [(str(each.stage), each.at) for each in boot.reached]
    values["transfers"] = [(t.path, t.service, t.sent, t.size, t.failed) for t in boot.transfers]
    for name in _ADDRESSES:
        values[name] = list(map(str, values[name]))
    values["dhcp_server"] = boot.dhcp_server and str(boot.dhcp_server)
    values["returned"] = boot.returned and encode(boot.returned)
    return _dump([FORMAT, values])


def with_state(boot: Boot, state: str) -> Boot | None:
    """A boot of which only the row is known, with its stored state; None if this version cannot read that."""
    try:
        number, values = json.loads(state)
        if number != FORMAT or values.keys() != set(_STORED):
            return None
        server = values["dhcp_server"]
        for name, hint in _PLAIN.items():
            values[name] = _revive(hint, values[name])
        values["reached"] = tuple(Reached(_STAGES[stage], _revive(float, at)) for stage, at in values["reached"])
        values["transfers"] = tuple(map(_transfer, values["transfers"]))
        for name in _ADDRESSES:
            values[name] = tuple(IPv4Address(text(word)) for word in values[name])
        values["dhcp_server"] = server and IPv4Address(server)
        values["returned"] = values["returned"] and _event(Returned.__name__, values["returned"])
        return replace(boot, **values)
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
        return None


def _event(kind: str, details: str) -> Any:
    hints = _HINTS[kind]
    return _KINDS[kind](**{name: _revive(hints[name], v) for name, v in json.loads(details).items() if name in hints})


def _transfer(values: list[Any]) -> Transfer:
    path, service, sent, size, failed = values
    return Transfer(text(path), text(service), whole(sent), whole(size), text(failed))


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


def _invalid() -> NoReturn:
    raise ValueError("a field has the wrong type")
