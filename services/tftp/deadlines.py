"""When each session is to be looked at next: PURE. Times are monotonic seconds.

A deadline that moves later, as it does with each packet, costs nothing: whoever gets a session that is due looks
whether its time has come, and puts it back if not. So thousands of sessions that wait for seconds cost next to nothing.
"""

from collections.abc import Iterator

from services.tftp.session import Session

TICK = 1 / 128  # seconds; less than half of the shortest retransmission, and exact as a float


class Deadlines:
    """Sessions by the tick at which they are looked at, each at one: `Session.due`, -1 for none."""

    def __init__(self) -> None:
        self._ticks: dict[int, tuple[int, set[Session]]] = {}  # with the tick itself: one number for all its sessions
        self._next = 0

    def put(self, session: Session, at: float) -> None:
        """Look at `session` at the time `at`, a tick later at most, or earlier if that was said before."""
        tick = max(int(at / TICK) + 1, self._next)
        if 0 <= session.due <= tick:
            return
        self.remove(session)
        session.due, there = self._ticks.setdefault(tick, (tick, set()))
        there.add(session)

    def remove(self, session: Session) -> None:
        """Look at it no more."""
        if session.due < 0:
            return
        _, there = self._ticks[session.due]
        there.discard(session)
        if not there:
            del self._ticks[session.due]
        session.due = -1

    def due(self, now: float) -> Iterator[Session]:
        """Take out, one by one, those whose tick has come."""
        self._next = int(now / TICK) + 1
        for tick in sorted(tick for tick in self._ticks if tick < self._next):
            while there := self._ticks.get(tick):
                session = next(iter(there[1]))
                self.remove(session)
                yield session
