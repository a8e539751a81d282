"""A room of PCs as the rules see it, and days that pass in it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from appliance.config.notify import RuleSettings, WeeklyMoment
from appliance.control.notify.conditions import Memory
from appliance.control.notify.judge import judge
from appliance.control.notify.notices import Notice
from appliance.control.notify.rules import RuleName
from appliance.control.notify.sightings import PcSighting, Sightings
from appliance.heartbeats.states import Kind

NOON = 1_795_694_400.0
"""A Thursday in November 2026, 12:00 UTC."""


def mac(number: int) -> str:
    """The MAC address of a PC."""
    return f"52:54:00:aa:{number // 256:02x}:{number % 256:02x}"


def pc(number: int, kind: Kind = Kind.COMPUTING, **facts: Any) -> PcSighting:
    """A PC of room 12 that computes."""
    known: dict[str, Any] = {"label": "room 12", "state": str(kind), "heard": NOON, "boot": number}
    return PcSighting(mac=mac(number), kind=kind, started=NOON - 3600.0, **known | facts)


def only(rule: RuleName, **more: Any) -> RuleSettings:
    """The settings with just this rule, as it is by default."""
    off: dict[str, Any] = {
        "booted": "off",
        "faults": False,
        "silent": 0,
        "key_refused": False,
        "no_work": 0,
        "task_errors": 0,
        "images": False,
        "canary": False,
        "not_woken": False,
        "kept_work": False,
        "disk": 0,
        "network": False,
        "server": False,
        "digest": WeeklyMoment(""),
    }
    defaults = RuleSettings()
    return RuleSettings(**(off | {str(rule): getattr(defaults, rule)} | more))


@dataclass
class Days:
    """Time that passes, with a look every 15 seconds; `told` has when each notice was made, in seconds since NOON."""

    settings: RuleSettings
    now: float = NOON
    every: float = 15.0
    memories: Mapping[RuleName, Memory] = field(default_factory=dict)
    told: list[tuple[float, Notice]] = field(default_factory=list)

    def look(self, pcs: Iterable[PcSighting] = (), *, quiet: bool = False, **box: Any) -> list[Notice]:
        """One look, and what it tells."""
        seen = Sightings(self.now, "boot", "https://boot:8443/", pcs={each.mac: each for each in pcs}, **box)
        found = judge(seen, self.settings, self.memories, quiet=quiet)
        self.memories = found.memories
        self.told += [(self.now - NOON, notice) for notice in found.notices]
        return list(found.notices)

    def pass_(
        self, seconds: float, room: Callable[[float], Iterable[PcSighting]] = lambda _: (), **box: Any
    ) -> list[Notice]:
        """Look for so long; `room` says how the PCs are at a moment."""
        told, end = [], self.now + seconds
        while self.now < end:
            told += self.look(room(self.now), **box)
            self.now += self.every
        return told
