"""Rules and notices as people and scripts see them: `notify list`, `notify rules`, their --json, and the page."""

from collections.abc import Iterator
from dataclasses import dataclass

from appliance.config.notify import NotifySettings
from appliance.control.notify import outbox
from appliance.control.notify.conditions import Known
from appliance.control.notify.outbox import SENT, Delivery
from appliance.control.notify.rules import RULES, is_on, setting
from appliance.registry.database import Registry

MOST = 100
"""Notices that are shown."""


@dataclass(frozen=True, slots=True)
class RuleView:
    """A rule: its name in [notify.rules], what it tells, whether it is on, and its setting in words. `told`: how many
    things are so now of those that it has told; `last`: when it told something last, in seconds since the epoch, or
    None."""

    rule: str
    about: str
    on: bool
    setting: str
    told: int
    last: float | None


@dataclass(frozen=True, slots=True)
class DeliveryView:
    """A notice for one address. `state` is "sent", "waiting" or "failed"; `answer` says why it was not taken. `next`
    (when it is tried next) and `ended` are in seconds since the epoch, or None."""

    address: str
    state: str
    tries: int
    answer: str
    next: float | None
    ended: float | None


@dataclass(frozen=True, slots=True)
class NoticeView:
    """A notice. `level` is info, good or warning, `made` is in seconds since the epoch."""

    id: int
    rule: str
    level: str
    made: float
    title: str
    body: str
    deliveries: tuple[DeliveryView, ...]

    @property
    def state(self) -> str:
        """That of its worst delivery."""
        states = {each.state for each in self.deliveries}
        return next((each for each in ("failed", "waiting", SENT) if each in states), "for nobody")


def rule_views(registry: Registry, settings: NotifySettings) -> list[RuleView]:
    """All rules, in the order in which people read them. Nothing is on while there is no address."""
    memories, last = outbox.memories(registry), outbox.last_told(registry)
    found = []
    for name, rule in RULES.items():
        memory = memories.get(name)
        told = sum(each.known is Known.TOLD for each in memory.tracked.values()) if memory else 0
        on = bool(settings.targets) and is_on(name, settings.rules)
        found.append(RuleView(str(name), rule.about, on, setting(name, settings.rules), told, last.get(name)))
    return found


def notice_views(registry: Registry, most: int = MOST) -> list[NoticeView]:
    """The last notices, the latest first."""
    return [
        NoticeView(each.id, each.rule, each.level, each.made, each.title, each.body, tuple(map(_delivery, deliveries)))
        for each, deliveries in outbox.recent(registry, most)
    ]


def _delivery(delivery: Delivery) -> DeliveryView:
    ended = delivery.ended
    state = "waiting" if ended is None else SENT if delivery.result == SENT else "failed"
    answer = "" if state == SENT else delivery.result
    return DeliveryView(delivery.name, state, delivery.tries, answer, delivery.due if ended is None else None, ended)


def summary(notice: NoticeView) -> Iterator[str]:
    """How a notice went, address by address, as far as it did not just arrive."""
    for each in notice.deliveries:
        if each.state != SENT:
            tries = f", {each.tries} tries" if each.tries > 1 else ""
            yield f"{each.address}: {each.state}{tries}{f': {each.answer}' if each.answer else ''}"
