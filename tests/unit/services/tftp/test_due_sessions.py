"""When sessions are due."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from services.tftp.due_sessions import TICK, DueSessions


class Waiting:
    due_tick = -1


@given(st.lists(st.tuples(st.integers(0, 9), st.floats(0, 30), st.booleans()), max_size=60))
def test_each_session_is_due_once_and_never_late(steps: list[tuple[int, float, bool]]) -> None:
    due_sessions: Any = DueSessions()
    sessions = [Waiting() for _ in range(10)]
    wanted: dict[int, float] = {}
    now = 0.0
    for number, wait, gone in steps:
        if gone:
            due_sessions.remove(sessions[number])
            wanted.pop(number, None)
        else:
            due_sessions.put(sessions[number], now + wait)
            wanted[number] = min(now + wait, wanted.get(number, 1e9))
        now += wait / 7
        for session in due_sessions.due(now):
            assert wanted.pop(sessions.index(session)) <= now
        assert all(at > now - TICK for at in wanted.values())
    for _ in due_sessions.due(now + 60):
        pass
    assert not due_sessions._ticks
    assert {session.due_tick for session in sessions} == {-1}


def test_a_session_put_back_meanwhile_waits_for_the_next_tick() -> None:
    due_sessions: Any = DueSessions()
    session = Waiting()
    due_sessions.put(session, 1.0)
    for _ in due_sessions.due(2.0):
        due_sessions.put(session, 1.0)
    assert session.due_tick >= 0
    assert list(due_sessions.due(2.0)) == []
    assert list(due_sessions.due(2.0 + TICK)) == [session]
