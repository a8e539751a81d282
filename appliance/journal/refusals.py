"""The refusals that are kept: of many senders, and of each a few. Written to the registry in batches by the journal.

A sender is an address, where TFTP or HTTP was asked. A DHCP request has none that means anything, so there each MAC
address counts as a sender of its own. One sender has only a few rows, whatever it claims to be; the rest is one more
row that counts. Senders who come back are kept before those who were here once (visitors.py), so made-up ones do not
push out the machines that really ask.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import islice

from appliance.journal.visitors import Visitors
from appliance.registry.records import IgnoredRow
from services.events import Ignored
from services.rate_limit import RateLimit

MOST_SENDERS = 500
ROWS_OF_A_SENDER = 8
"""A PC that is refused has one or two. As many more count what has no row of its own."""

REPEATED_AFTER = 3600.0
"""A refusal is published once, not for each packet; again if the machine still asks after an hour."""

_AT_ONCE, _A_SECOND = 100, 1.0
"""Refusals that are published: 150 bytes of log each."""

_WRITTEN_AT_ONCE = 100
"""Rows of senders who have been here once that one batch writes. A flood has thousands, and forgets them at once."""

_Name = tuple[str, str, str]  # client, service, reason
_Sender = tuple[str, str]  # the address, or the client that counts as a sender


@dataclass(slots=True)
class _Kept:
    row: IgnoredRow
    published_at: float
    written: bool = False


class Refusals:
    """`forgotten` counts the refusals that have no row any more."""

    def __init__(self, kept: Iterable[IgnoredRow], salt: object, mac_of: Callable[[str], str]) -> None:
        """`kept`: what the registry holds. `mac_of` gives the MAC address that a sender has now, or ""."""
        self.forgotten = 0
        self._mac_of = mac_of
        self._senders: dict[_Sender, dict[_Name, _Kept]] = {}
        self._visitors = Visitors[_Sender](MOST_SENDERS, salt, self._forget)
        self._dirty: dict[tuple[_Sender, _Name], None] = {}
        self._gone: list[IgnoredRow] = []
        self._lines = RateLimit[bool](_AT_ONCE, _A_SECOND, 2)
        self._unpublished = 0
        for row in sorted(kept, key=lambda row: row.last_at):
            sender = _sender(row.sender, row.client, row.service)
            self._senders.setdefault(sender, {})[row.client, row.service, row.reason] = _Kept(row, row.last_at, True)
            self._visitors.add(sender, row.last_at)

    def add(self, event: Ignored, now: float) -> Ignored | None:
        """Count a refusal; `now` is in seconds since the epoch. Returns what to publish about it."""
        sender = _sender(event.sender, event.client, event.service)
        self._visitors.visit(sender, now)
        rows = self._senders.setdefault(sender, {})
        name = _name(rows, event)
        kept = rows.get(name)
        if kept is None:
            row = IgnoredRow(
                *name, now, now, event.count, event.sender, self._mac_of(event.sender) if event.sender else ""
            )
            kept = rows[name] = _Kept(row, now - REPEATED_AFTER)
        else:
            kept.row = replace(kept.row, last_at=now, count=kept.row.count + event.count)
        self._dirty[sender, name] = None
        if now - kept.published_at < REPEATED_AFTER:
            return None
        kept.published_at = now
        if not self._lines.take(self._visitors.came_back(sender), now):
            self._unpublished += 1
            return None
        return self._published(event, kept.row)

    def changes(self) -> tuple[list[IgnoredRow], list[IgnoredRow]]:
        """Rows to write, with all that they count, and rows to delete; `written` ends that."""
        again = [key for key in self._dirty if self._visitors.came_back(key[0])]
        once = [key for key in islice(reversed(self._dirty), len(again) + _WRITTEN_AT_ONCE) if key not in set(again)]
        self._taken = [*again, *once[:_WRITTEN_AT_ONCE]]
        self._name_senders()
        return [self._senders[sender][name].row for sender, name in self._taken], self._gone

    def written(self) -> None:
        """What `changes` returned last is in the registry."""
        for sender, name in self._taken:
            self._senders[sender][name].written = True
            del self._dirty[sender, name]
        self._gone = []

    def _name_senders(self) -> None:
        """The MAC addresses that were not known when their senders were first refused, for the rows to write."""
        found: dict[str, str] = {}
        for sender, name in self._taken:
            kept = self._senders[sender][name]
            if (address := kept.row.sender) and not kept.row.sender_mac:
                if address not in found:
                    found[address] = self._mac_of(address)
                kept.row = replace(kept.row, sender_mac=found[address])

    def _published(self, event: Ignored, row: IgnoredRow) -> Ignored:
        words = [event.detail] if event.detail else []
        if not row.client:
            words.append("it makes up one name after another; what follows is only counted")
        if self._unpublished:
            words.append(f"{self._unpublished} other refusals were not logged")
            self._unpublished = 0
        who = f"{row.sender} ({row.sender_mac})" if row.sender_mac else row.sender
        return replace(event, detail="; ".join(words), sender=who)

    def _forget(self, sender: _Sender) -> None:
        for name, kept in self._senders.pop(sender).items():
            self._dirty.pop((sender, name), None)
            self.forgotten += kept.row.count
            if kept.written:
                self._gone.append(kept.row)


def _sender(address: str, client: str, service: str) -> _Sender:
    return ("", client) if service == "dhcp" or not address else (address, "")


def _name(rows: dict[_Name, _Kept], event: Ignored) -> _Name:
    """The row that counts this refusal."""
    name = event.client, event.service, event.reason.value
    if name in rows or sum(bool(client) for client, _, _ in rows) < ROWS_OF_A_SENDER:
        return name
    more = "", event.service, event.reason.value
    others = [other for other in rows if not other[0]]
    return more if more in rows or len(others) < ROWS_OF_A_SENDER else others[0]
