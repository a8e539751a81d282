"""The log of what happens to PCs: one line for each event that people may want to read.

It reads the journal's stream in a task of its own, so that no answer waits for a line. A line costs eight times what
recording a refusal does: in a flood the log takes at most a tenth of the event loop's time, and says how many events it
lost. Otherwise a line follows its event within about 10 ms; lines of other parts of the server may come in between.
`close` writes what is left before the server ends.
"""

import asyncio
import logging
import math
import time
from collections.abc import Callable

import structlog

from appliance.journal.stream import Stream
from services.events import (
    AddressSeen,
    CanaryEnded,
    Event,
    GaveUp,
    Ignored,
    LeaseChosen,
    Offered,
    Reported,
    SecretsClosed,
    TokenExchanged,
    TransferFailed,
    TransferProgressed,
    WentBack,
)

_HELD = 20_000
"""How many events may wait to be logged. 1,000 PCs that boot at once produce fewer, up to their kernels. The log writes
a few thousand a second."""

_AT_ONCE = 0.002
"""How long the log writes in one turn of the event loop, in seconds. No PC gets an answer meanwhile."""

_REST = 9.0
"""After writing, the log rests this many times as long: it uses a tenth of the time."""

_SHORTEST_REST = 0.01
"""Seconds; fewer would wake the loop for single events."""

_SAY_LOST_EVERY = 10.0
"""Seconds between two lines about lost events while a flood goes on."""

_WORDS = {
    "Discovered": "discovered",
    "ScriptServed": "script served",
    "EntryStarted": "menu entry started",
    "TransferServed": "served",
    "SecretsServed": "BOINC files served",
}

log = structlog.get_logger("serve")


class EventLogger:
    """The log as a reader of the stream. `clock` is in seconds."""

    def __init__(self, stream: Stream, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._some = asyncio.Event()
        self._events = stream.subscribe(_HELD, self._some.set)
        self._said_lost_at = -math.inf

    async def follow(self) -> None:
        """Write lines as events come; runs until it is cancelled."""
        while True:
            await self._some.wait()
            began = self._clock()
            self._write(until=began + _AT_ONCE)
            await asyncio.sleep(max(_SHORTEST_REST, _REST * (self._clock() - began)))

    def close(self) -> None:
        """Write all that is left."""
        self._write(until=math.inf)

    def _write(self, until: float) -> None:
        while published := self._events.take():
            _try_to_log(published[0])
            if self._clock() >= until:
                break
        else:
            self._some.clear()
        flood_goes_on = self._some.is_set() and self._clock() - self._said_lost_at < _SAY_LOST_EVERY
        if self._events.lost and not flood_goes_on:
            log.warning("events were not logged, because too many came at once", lost=self._events.lost)
            self._events.lost = 0
            self._said_lost_at = self._clock()


def _try_to_log(event: Event) -> None:
    try:
        _log_event(event)
    except Exception:
        # One faulty line must not stop the log: its task is essential, so the server would stop too.
        log.exception("an event could not be logged", kind=type(event).__name__)


def _log_event(event: Event) -> None:
    match event:
        case Ignored():
            more = {name: value for name in ("sender", "detail") if (value := getattr(event, name))}
            log.warning("ignored", service=event.service, client=event.client, reason=event.reason.value, **more)
        case TransferProgressed():
            pass
        case AddressSeen() | LeaseChosen() | Offered():
            if logging.root.isEnabledFor(logging.DEBUG):
                log.debug(type(event).__name__, **_fields(event))
        case TokenExchanged():
            log.info("token exchanged", mac=str(event.mac))
        case SecretsClosed():
            words = "a script or loader without a power-on: the token of this boot opens no secrets"
            log.warning(words, mac=str(event.mac), boots_begin_with=event.until)
        case GaveUp():
            words = "the live system did not come up in several boots: this one starts the PC's own disk"
            log.warning(words, mac=str(event.mac), boots=event.times)
        case WentBack():
            words = "its last boots failed: it goes back to the release before"
            log.warning(words, mac=str(event.mac), release=event.release, failed=event.failed, why=event.why)
        case CanaryEnded():
            words = f"the canary was {event.verdict}"
            log.warning(words, release=event.release, why=event.reason, decided_by=str(event.mac))
        case TransferFailed():
            log.warning("transfer failed", **_fields(event))
        case Reported():
            # As one value: a PC may use any names, and structlog has its own.
            details = {"details": event.details} if event.details else {}
            log.info("reported", mac=str(event.mac), stage=event.stage, **details)
        case _:
            log.info(_WORDS.get(type(event).__name__, type(event).__name__), **_fields(event))


def _fields(event: Event) -> dict[str, object]:
    values = {name: getattr(event, name) for name in event.__dataclass_fields__}
    return {name: value if isinstance(value, int | float | str) else str(value) for name, value in values.items()}
