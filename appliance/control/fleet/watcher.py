"""Keeps the room as the registry has it: each look reads what changed since the last one. Has no thread of its own."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Protocol

from appliance.allowlist import Allowlist
from appliance.config.file import Config
from appliance.control.fleet import changes, groups, reader
from appliance.control.fleet.groups import PcGroup
from appliance.control.fleet.needs import needs
from appliance.control.fleet.pcs import KeptPc, PcFacts, sought
from appliance.control.fleet.reader import Marks, ReadPc, Surroundings
from appliance.control.fleet.rooms import Change, Room, in_place
from appliance.heartbeats.work import NO_WORK, WorkSums
from appliance.registry.database import Registry
from appliance.view.clients import ClientView
from appliance.view.days import DayView
from services.ethernet import MacAddress

_BATCH = 100
"""PCs that are read between two questions whether to stop."""

_AROUND_EVERY = 5.0
"""Seconds between two looks at refusals, the server and the disk."""

_DAYS_EVERY = 600.0
"""Seconds between two looks at what the PCs did day by day."""


class Pen(Protocol):
    """Writes the HTML of the room, each part as one element with an `id`, on one line: a PC, the heading of a group,
    what stands above them all, the parts of what they did day by day. `listed`: a PC as JSON."""

    def row(self, pc: PcFacts) -> str: ...
    def head(self, group: PcGroup) -> str: ...
    def top(self, room: Room) -> str: ...
    def days(self, days: Sequence[DayView]) -> tuple[str, ...]: ...
    def listed(self, pc: ClientView) -> bytes: ...


class Watcher:
    """The room, and what has to be known to keep it. For one thread, with one registry. A watcher that failed is
    replaced by another one, which gets its room."""

    def __init__(self, registry: Registry, pen: Pen, room: Room) -> None:
        self.room = room
        self._registry = registry
        self._pen = pen
        self._allowlist: Allowlist | None = None
        self._marks = Marks()
        self._around = Surroundings()
        self._around_at = 0.0
        self._days_at = 0.0
        self._data_version = -1
        self._work = WorkSums()
        self._edits = -1
        self._due = {MacAddress.parse(mac).value: 0.0 for mac in room.pcs}

    def pending(self, now: float) -> bool:
        """Whether somebody has committed since the last look, or time has changed something. Costs a millisecond for
        10,000 PCs."""
        return (
            self._version() != self._data_version
            or now - self._around_at >= _AROUND_EVERY
            or now >= min(self._due.values(), default=now + 1)
        )

    def look(self, config: Config, now: float, stop: Callable[[], bool] = lambda: False) -> Change | None:
        """Read what changed, at `now`, in seconds since the epoch. Returns what to tell; None if nothing changed, or
        when `stop` says so. Raises UserError and errors of SQLite."""
        # First: what is committed from here on is seen by the next look.
        self._data_version = self._version()
        self._edits = self._registry.edits()
        stale = self._look_around(config, now)
        allowlist = self._allowed()
        marks = reader.read_marks(self._registry, allowlist)
        stale |= changes.changed(self._marks.pcs, marks.pcs) | (self._marks.new ^ marks.new)
        stale |= {mac for mac, due in self._due.items() if due <= now}
        pcs = dict(self.room.pcs)
        version = self.room.version + 1
        touched: list[tuple[KeptPc | None, KeptPc]] = []
        for read in self._read(sorted(stale & marks.pcs.keys()), marks, now, stop):
            facts, mac = read.facts, read.facts.mac
            number = MacAddress.parse(mac).value
            self._due[number] = read.due
            self._work.put(number, read.work)
            before, listed = pcs.get(mac), self._pen.listed(read.view)
            if before is None or before.facts != facts:
                pcs[mac] = KeptPc(facts, self._pen.row(facts), version, sought(facts), listed)
                touched.append((before, pcs[mac]))
            elif before.listed != listed:
                pcs[mac] = replace(before, listed=listed)
        if stop():
            return None
        gone = changes.gone(self._due, marks.pcs)
        for number in gone:
            del self._due[number]
            self._work.put(number, NO_WORK)
            pcs.pop(str(MacAddress(number)), None)
        self._marks = marks
        moved = bool(gone) or any(before is None or _place(before) != _place(pc) for before, pc in touched)
        return self._tell(pcs, touched, moved, now)

    def _version(self) -> int:
        found: int = self._registry.sql.execute("PRAGMA data_version").fetchone()[0]
        return found

    def _allowed(self) -> Allowlist:
        if self._allowlist is None:
            self._allowlist = self._registry.allowlist()
        return self._allowlist

    def _look_around(self, config: Config, now: float) -> set[int]:
        """Read what is beside the PCs, if it is time; returns the PCs whose evidence or permission changed."""
        known, stale = self._allowlist, set[int]()
        if known is None or self._registry.changed():
            self._allowlist = self._registry.allowlist()
            if known is not None and known != self._allowlist:
                for number in self._due:
                    mac = MacAddress(number)
                    if known.decide(mac) != self._allowlist.decide(mac):
                        stale.add(number)
        elif now - self._around_at < _AROUND_EVERY:
            return stale
        before = self._around.evidence
        self._around = reader.read_surroundings(config, self._registry, self._allowed(), now)
        self._around_at = now
        after = self._around.evidence
        if (before.menu, before.box) != (after.menu, after.box):
            return set(self._due)
        for names in (changes.differing(before.refused, after.refused), changes.differing(before.claims, after.claims)):
            stale |= {MacAddress.parse(name).value for name in names if _is_mac(name)}
        return stale

    def _read(self, macs: Sequence[int], marks: Marks, now: float, stop: Callable[[], bool]) -> Iterator[ReadPc]:
        for at in range(0, len(macs), _BATCH):
            if stop():
                return
            batch = macs[at : at + _BATCH]
            yield from reader.read_pcs(self._registry, batch, marks, self._allowed(), self._around.evidence, now)

    def _tell(
        self, pcs: dict[str, KeptPc], touched: list[tuple[KeptPc | None, KeptPc]], moved: bool, now: float
    ) -> Change | None:
        """Make the room of what was read, and of it what to tell."""
        version = self.room.version + 1
        before = replace(self.room, edits=self._edits, work=self._work.total())
        days = self._drawn(now)
        facts = [pc.facts for pc in pcs.values()]
        places = groups.arrange(facts) if moved else {group.title: group.macs for group in before.groups}
        after = replace(
            before,
            version=version,
            arranged=version if moved else before.arranged,
            pcs=pcs,
            groups=tuple(map(self._headed, groups.groups(places, pcs))),
            counts=groups.counts(facts),
            needs=needs(self._around.box, facts),
            allowed=self._allowed().addresses,
            refused=self._around.refused,
            image=self._around.image,
            read=now,
            trouble="",
            days=days,
            drawn=before.drawn if days == before.days else version,
        )
        after = replace(after, top=self._pen.top(after))
        # A page without PCs says what to do next.
        next_steps = not pcs and (after.allowed, after.image) != (before.allowed, before.image)
        # It has no place yet for the first figures.
        moved = moved or next_steps or not before.read or bool(days) != bool(before.days)
        if not (touched or moved or after.top != before.top or days != before.days):
            self.room = replace(before, pcs=pcs, read=now)
            return None
        self.room = after
        known = {group.name: group.head for group in before.groups}
        heads = "".join(in_place(group.head) for group in after.groups if group.head != known.get(group.name))
        top = after.top if after.top != before.top else ""
        return Change(version, tuple(touched), top, heads, moved, days if days != before.days else ())

    def _drawn(self, now: float) -> tuple[str, ...]:
        """What the PCs did day by day, drawn anew from time to time."""
        if self.room.days and now - self._days_at < _DAYS_EVERY:
            return self.room.days
        self._days_at = now
        return self._pen.days(reader.read_days(self._registry, now))

    def _headed(self, group: PcGroup) -> PcGroup:
        return replace(group, head=self._pen.head(group))


def _place(pc: KeptPc) -> tuple[bool, bool, str, str, bool]:
    """What decides under which heading it stands."""
    facts = pc.facts
    return facts.loaded, facts.allowed, facts.label, facts.place, facts.alone


def _is_mac(name: str) -> bool:
    try:
        MacAddress.parse(name)
    except ValueError:
        return False
    return True
