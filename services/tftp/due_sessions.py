"""When each session needs attention next: PURE. Times are monotonic seconds.

A deadline that moves later, as it does with each packet, costs nothing: the caller of `due` checks the deadline of each
session again, and puts the session back if that has moved. So thousands of sessions that wait for seconds cost next to
nothing.
"""

from collections.abc import Iterator

from services.tftp.session import Session

TICK = 1 / 128  # seconds; less than half of the shortest retransmission, and exact as a float


class DueSessions:
    """Sessions by the tick at which they are due. Each is at one tick: `Session.due_tick`, -1 for none."""

    def __init__(self) -> None:
        self._ticks: dict[int, tuple[int, set[Session]]] = {}  # with the tick itself: one number for all its sessions
        self._next = 0

    def put(self, session: Session, at: float) -> None:
        """Make `session` due at the time `at`, or up to a tick later; an earlier time set before stays."""
        tick = max(int(at / TICK) + 1, self._next)
        if 0 <= session.due_tick <= tick:
            return
        self.remove(session)
        session.due_tick, sessions = self._ticks.setdefault(tick, (tick, set()))
        sessions.add(session)

    def remove(self, session: Session) -> None:
        """Forget `session`."""
        if session.due_tick < 0:
            return
        _, sessions = self._ticks[session.due_tick]
        sessions.discard(session)
        if not sessions:
            del self._ticks[session.due_tick]
        session.due_tick = -1

    def due(self, now: float) -> Iterator[Session]:
        """Take out, one by one, those whose tick has come."""
        self._next = int(now / TICK) + 1
        for tick in sorted(tick for tick in self._ticks if tick < self._next):
            while waiting := self._ticks.get(tick):
                session = next(iter(waiting[1]))
                self.remove(session)
                yield session
