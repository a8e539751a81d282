"""How much of a boot is recorded and published: what can be repeated for ever must fill neither disk nor log. PURE."""

from dataclasses import fields
from operator import attrgetter

from appliance.journal.timeline import AddressLost, Boot
from services.ethernet import MacAddress
from services.events import (
    AddressSeen,
    CanaryEnded,
    Discovered,
    EntryStarted,
    Event,
    LeaseChosen,
    Offered,
    Returned,
    ScriptServed,
    TransferFailed,
    TransferProgressed,
    TransferServed,
)

FORGEABLE = (Discovered, Offered, AddressSeen, AddressLost, LeaseChosen, Returned)
"""A forger can cause these in the name of a PC as often as it likes. They are written only if they change something,
and only so many for one boot; a real boot has about ten. A client that has nothing else is a newcomer."""

_MOST_FORGEABLE = 200

# A PC that was taken over can cause these as often as it likes. Of one boot so many are written and published, and then
# only those that reach a new stage. A real one has thirty; the progress of a slow download does not count.
_REPEATABLE = (TransferProgressed, TransferServed, TransferFailed, ScriptServed, EntryStarted)
_MOST_REPEATABLE = 1000

# Firmware waits at least a second between DISCOVERs, and counts `secs`. Faster repetitions are published only this
# often (seconds).
_REPEATED_DISCOVER_AFTER = 2.0
# The same for a script that is fetched again: a loader waits ten seconds before it does so.
_REPEATED_SCRIPT_AFTER = 2.0
_content = attrgetter(*(field.name for field in fields(Boot) if field.name != "last_event"))


class EventBounds:
    """What each client's boot has had so far."""

    def __init__(self) -> None:
        self._forgeable: dict[MacAddress, int] = {}
        self._repeatable: dict[MacAddress, int] = {}
        self._last_discover: dict[MacAddress, tuple[tuple[str, bool, int], float]] = {}
        self._last_script: dict[MacAddress, float] = {}

    def forget(self, mac: MacAddress) -> None:
        """A new boot begins, or the client is forgotten."""
        for each in (self._forgeable, self._repeatable, self._last_discover, self._last_script):
            each.pop(mac, None)

    def is_worth_a_row(self, event: Event | AddressLost, before: Boot, after: Boot) -> bool:
        """Whether the event is to be written."""
        if isinstance(event, CanaryEnded):
            return True
        # Progress is for watching: the state has the latest of each file.
        if not changes(before, after) or (isinstance(event, TransferProgressed) and event.sent):
            return False
        if isinstance(event, FORGEABLE):
            count = self._forgeable[after.mac] = self._forgeable.get(after.mac, 0) + 1
            return count <= _MOST_FORGEABLE
        return True

    def is_too_much(self, event: Event | AddressLost, before: Boot, after: Boot) -> bool:
        """Whether the boot has had its share of such events, and this one reaches no new stage."""
        if not isinstance(event, _REPEATABLE) or (isinstance(event, TransferProgressed) and event.sent):
            return False
        count = self._repeatable[before.mac] = self._repeatable.get(before.mac, 0) + 1
        return count > _MOST_REPEATABLE and after.stage is before.stage

    def is_fetched_again(self, before: Boot, after: Boot, now: float) -> bool:
        """Whether the same script was recorded a moment ago."""
        last = self._last_script.get(before.mac, now - _REPEATED_SCRIPT_AFTER)
        if 0 <= now - last < _REPEATED_SCRIPT_AFTER and not changes(before, after):
            return True
        self._last_script[before.mac] = now
        return False

    def repeats_itself(self, event: Event | AddressLost, now: float) -> bool:
        """Whether this is a DISCOVER that was published a moment ago."""
        if not isinstance(event, Discovered):
            return False
        before, last = self._last_discover.get(event.mac, (None, now))
        content = (event.fingerprint, event.ipxe, event.secs)
        if content == before and 0 <= now - last < _REPEATED_DISCOVER_AFTER:
            return True
        self._last_discover[event.mac] = (content, now)
        return False


def changes(before: Boot, after: Boot) -> bool:
    """Whether more than the time of the last event has changed."""
    return _content(after) != _content(before)
