"""What a rule remembers: the conditions that it has seen, for how long, and which of them it has told. PURE.

A condition is told when it has been seen for some time. Conditions that come one after another, as when a room goes
dark, are told together. One that flickers is the same one. What is so when a rule looks for the first time is known,
and never told. Times are counted from look to look, and no look counts for more than LONGEST_STEP: neither a clock that
was set nor an hour without this process makes anything look long.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

LONGEST_STEP = 60.0
"""Seconds that one look counts for, at most."""

GATHER = 300.0
"""Seconds that a condition waits for others that are still coming, at most."""

MOST_TRACKED = 20_000
"""Conditions that a rule remembers; more are not looked at."""

MOST_ENDED = 1000
"""Names kept for telling that it is over."""


class Known(StrEnum):
    """What was told of a condition. START: it was there from the start."""

    NEW = "new"
    TOLD = "told"
    START = "start"


@dataclass(frozen=True, slots=True)
class Observation:
    """Something that is so. `key` identifies it within its rule, `name` is for people. Those with the same `cause` and
    `cure` are told together, those with the same `group` (a label) on one line; `detail` is what differs between them.
    `expected`: known, and never told. `after`: seconds that it must be seen beyond what its rule says."""

    key: str
    name: str
    cause: str = ""
    cure: str = ""
    group: str = ""
    detail: str = ""
    expected: bool = False
    after: float = 0.0


@dataclass(frozen=True, slots=True)
class Tempo:
    """Seconds that a condition must be seen before it is told, and be gone before it has ended. `over`: its end is told
    too."""

    settle: float
    forget: float
    over: bool


@dataclass(frozen=True, slots=True)
class Tracked:
    """A condition: seconds for which it was seen, and for which it has been gone since. Neither counts on when it is
    long enough."""

    known: Known
    name: str
    seen: float = 0.0
    gone: float = 0.0


@dataclass(frozen=True, slots=True)
class Memory:
    """What a rule remembers. `last` is when it looked last, `made` when it told something, in seconds since the epoch;
    `ended` has the names of what was told and is over."""

    last: float
    tracked: Mapping[str, Tracked] = field(default_factory=dict)
    made: tuple[float, ...] = ()
    ended: tuple[str, ...] = ()


def observe(before: Memory | None, observed: Sequence[Observation], now: float, tempo: Tempo) -> Memory:
    """What is remembered after a look at `now`. `before` is None at the first one."""
    if before is None:
        return Memory(now, {each.key: Tracked(Known.START, each.name) for each in observed[:MOST_TRACKED]})
    step = min(max(now - before.last, 0.0), LONGEST_STEP)
    tracked: dict[str, Tracked] = {}
    for each in observed[:MOST_TRACKED]:
        old = before.tracked.get(each.key)
        if old is None:
            tracked[each.key] = Tracked(Known.START if each.expected else Known.NEW, each.name)
        else:
            enough = each.after + tempo.settle + GATHER
            tracked[each.key] = replace(old, name=each.name, seen=min(old.seen + step, enough), gone=0.0)
    ended = list(before.ended)
    for key, old in before.tracked.items():
        if key in tracked or old.known is Known.NEW:
            continue
        if (gone := old.gone + step) < tempo.forget:
            tracked[key] = replace(old, gone=gone)
        elif old.known is Known.TOLD and tempo.over:
            ended.append(old.name)
    return replace(before, last=now, tracked=tracked, ended=tuple(ended[:MOST_ENDED]))


def ripe(memory: Memory, observed: Sequence[Observation], tempo: Tempo) -> list[Observation]:
    """What is to be told now: nothing while others are still coming, but no longer than GATHER."""
    new = [(each, memory.tracked[each.key].seen) for each in observed if _is_new(memory, each)]
    long = [each for each, seen in new if seen >= tempo.settle + each.after]
    others = [seen for each, seen in new if not each.after]
    coming = any(seen < tempo.settle for seen in others)
    waited = max(others, default=0.0) >= tempo.settle + GATHER
    return long if waited or not coming else []


def _is_new(memory: Memory, observation: Observation) -> bool:
    tracked = memory.tracked.get(observation.key)
    return tracked is not None and tracked.known is Known.NEW


def is_over(memory: Memory) -> bool:
    """Whether all that was told has ended, and that was not told yet."""
    return bool(memory.ended) and not any(each.known is Known.TOLD for each in memory.tracked.values())


def tell(memory: Memory, told: Sequence[Observation], now: float) -> Memory:
    """What is remembered after this was told at `now`."""
    keys = {each.key for each in told}
    tracked = {key: replace(each, known=Known.TOLD) if key in keys else each for key, each in memory.tracked.items()}
    return replace(memory, tracked=tracked, made=(*memory.made, now))


def tell_over(memory: Memory, now: float) -> Memory:
    """What is remembered after the end was told at `now`."""
    return replace(memory, ended=(), made=(*memory.made, now))


def to_json(memory: Memory) -> str:
    """The memory as the registry keeps it."""
    tracked = {
        key: [str(each.known), each.name, round(each.seen, 3), round(each.gone, 3)]
        for key, each in memory.tracked.items()
    }
    values = {"last": memory.last, "tracked": tracked, "made": memory.made, "ended": memory.ended}
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"))


def from_json(text: str) -> Memory:
    """The memory that `to_json` wrote; raises ValueError, LookupError or TypeError for what it cannot have written."""
    values: dict[str, Any] = json.loads(text)
    return Memory(
        last=_number(values["last"]),
        tracked={
            key: Tracked(Known(known), _text(name), _number(seen), _number(gone))
            for key, (known, name, seen, gone) in values["tracked"].items()
        },
        made=tuple(map(_number, values["made"])),
        ended=tuple(map(_text, values["ended"])),
    )


def _number(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise ValueError("a number is missing")
    return float(value)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("text is missing")
    return value
