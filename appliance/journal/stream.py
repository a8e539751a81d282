"""Fan-out of what the journal records: every event, with the boot after it, into one bounded queue for each reader.

`publish` is called while packets are handled, so it never waits and never raises. A full queue loses events for its own
reader only, and counts them. Nothing is replayed: a reader gets what is published after it subscribed. How a reader
waits is up to the reader. PURE.
"""

from collections import deque
from collections.abc import Callable

from appliance.journal.timeline import Boot
from services.events import Event

Published = tuple[Event, Boot | None]
"""An event and the boot after it; None for a refusal, which belongs to no boot."""


class Subscription:
    """One reader's queue. `lost` counts the events that found no room; the reader sets it to 0 when it reports them.

    Refusals may fill only half of the queue, so a flood of them never pushes out events of booting PCs.
    """

    def __init__(self, limit: int, wake: Callable[[], None]) -> None:
        self.lost = 0
        self._limit = limit
        self._wake = wake
        self._waiting: deque[Published] = deque()

    def put(self, event: Event, boot: Boot | None) -> None:
        """Append an event, or count it as lost."""
        waiting = len(self._waiting)
        if waiting >= (self._limit if boot is not None else self._limit // 2):
            self.lost += 1
            return
        self._waiting.append((event, boot))
        if not waiting:
            self._wake()

    def take(self) -> Published | None:
        """The oldest event, or None when there is none."""
        return self._waiting.popleft() if self._waiting else None


class Stream:
    """The events of one journal, and who reads them."""

    def __init__(self) -> None:
        self._subscriptions: list[Subscription] = []

    def publish(self, event: Event, boot: Boot | None) -> None:
        """Give an event to every reader."""
        for subscription in self._subscriptions:
            subscription.put(event, boot)

    def subscribe(self, limit: int, wake: Callable[[], None]) -> Subscription:
        """A new queue of at most `limit` events. `wake` is called by `publish` when an event enters the empty queue: it
        must be quick and raise nothing."""
        subscription = Subscription(limit, wake)
        self._subscriptions.append(subscription)
        return subscription
