"""All rules at once: from what is seen and what they remember, to what they remember then and what is told. PURE.

Here is what keeps a bad day from filling a mailbox: at most so many notices of one rule and of all, in an hour and in a
day. What finds no room, or happens in a quiet time, waits with the others of its rule: if it is still so later, one
notice tells all of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from appliance.config.notify import RuleSettings
from appliance.control.notify import conditions
from appliance.control.notify.conditions import Memory
from appliance.control.notify.notices import Notice, compose, compose_over
from appliance.control.notify.rules import RULES, RuleName, is_on
from appliance.control.notify.sightings import Sightings

DAY = 86400.0
OF_A_RULE = ((3, 3600.0), (12, DAY))
OF_ALL = ((10, 3600.0), (40, DAY))
"""So many notices in so many seconds."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the rules that are on remember, and what is to be told."""

    memories: Mapping[RuleName, Memory]
    notices: tuple[Notice, ...]


def judge(
    seen: Sightings, settings: RuleSettings, memories: Mapping[RuleName, Memory], *, quiet: bool = False
) -> Judgement:
    """What follows from a look. A rule without a memory looks for the first time, and one that is off forgets all."""
    now = seen.now
    made = [at for memory in memories.values() for at in memory.made if now - DAY < at <= now]
    after: dict[RuleName, Memory] = {}
    notices: list[Notice] = []
    for name, rule in RULES.items():
        if not is_on(name, settings):
            continue
        before = memories.get(name)
        found = rule.find(seen, settings, before.tracked if before else ())
        if found is None:
            if before is not None:
                after[name] = before
            continue
        memory = conditions.observe(before, found, now, rule.tempo)
        memory = replace(memory, made=tuple(at for at in memory.made if now - DAY < at <= now))
        if not quiet and has_room(memory.made, OF_A_RULE, now) and has_room(made, OF_ALL, now):
            if told := conditions.ripe(memory, found, rule.tempo):
                notices.append(compose(name, told, seen))
                memory = conditions.tell(memory, told, now)
                made.append(now)
            elif conditions.is_over(memory):
                notices.append(compose_over(name, memory.ended, seen))
                memory = conditions.tell_over(memory, now)
                made.append(now)
        after[name] = memory
    return Judgement(after, tuple(notices))


def has_room(made: list[float] | tuple[float, ...], limits: tuple[tuple[int, float], ...], now: float) -> bool:
    """Whether one more fits into all the limits."""
    return all(sum(now - seconds < at <= now for at in made) < most for most, seconds in limits)
