"""Which PCs are read again, and when."""

import pytest

from appliance.control.fleet import changes

NOW = 10_000.0


def test_pcs_that_are_new_or_have_another_mark_are_read_again() -> None:
    before = {1: (1, "script", 5.0), 2: (2, "script", 5.0), 3: (3, "script", 5.0)}
    now = {1: (1, "script", 5.0), 2: (2, "kernel", 6.0), 4: (9, "script", 7.0)}
    assert changes.changed(before, now) == {2, 4}
    assert changes.gone(before, now) == {3}


def test_evidence_differs_where_it_came_went_or_changed() -> None:
    before, now = {"a": (1,), "b": (1,), "c": (1,)}, {"a": (1,), "b": (2,), "d": (1,)}
    assert set(changes.differing(before, now)) == {"b", "c", "d"}


@pytest.mark.parametrize(
    ("last_event", "beat_at", "under_way", "due"),
    [
        # Heard a moment ago: once a minute, though the next heartbeat comes before that.
        (NOW - 7200, NOW - 5, False, NOW + 60),
        # It turns silent three minutes after its last heartbeat, and is stalled three minutes after its last event.
        (NOW - 7200, NOW - 170, False, NOW + 10.5),
        (NOW - 175, None, True, NOW + 5.5),
        # On its way to computing, the diagnosis has rules of seconds.
        (NOW - 30, None, True, NOW + 10),
        # The longer it has been silent, the less its words change.
        (NOW - 9000, NOW - 1600, False, NOW + 200),
        (NOW - 1e6, NOW - 1e6, False, NOW + 3600),
        # The clock was set back: the future is as good as now.
        (NOW + 500, NOW + 500, False, NOW + 60),
    ],
)
def test_time_alone_changes_a_pc(last_event: float, beat_at: float | None, under_way: bool, due: float) -> None:
    assert changes.due(NOW, last_event, beat_at, under_way) == due
