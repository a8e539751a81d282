"""Heartbeats that wait to be written: the latest of each PC, in bounded memory."""

from dataclasses import replace

from appliance.server.pending_heartbeats import PendingHeartbeats, TimedHeartbeat
from services.ethernet import MacAddress
from services.http.heartbeats import Heartbeat


def heartbeat(mac: int, at: float, size: int = 0) -> TimedHeartbeat:
    return TimedHeartbeat(1, at, Heartbeat(MacAddress(mac), {}, boinc=bytes(size)))


def test_of_each_pc_the_latest_waits() -> None:
    pending = PendingHeartbeats()
    for at in (1.0, 2.0):
        pending.add(heartbeat(7, at))
    pending.add(heartbeat(8, 3.0))
    assert pending.take().heartbeats == {7: replace(heartbeat(7, 2.0), since=1.0), 8: heartbeat(8, 3.0)}
    assert pending.take().heartbeats == {}


def test_the_latest_knows_since_when_its_pc_was_heard_without_a_pause() -> None:
    pending = PendingHeartbeats()
    found = []
    for at, boot in ((1.0, 1), (61.0, 1), (241.0, 1), (421.1, 1), (480.0, 1), (470.0, 1), (500.0, 1), (501.0, 2)):
        pending.add(TimedHeartbeat(boot, at, Heartbeat(MacAddress(7), {})))
        (waiting,) = pending._pending.heartbeats.values()
        found.append(waiting.first)
    assert found == [1.0, 1.0, 1.0, 421.1, 421.1, 470.0, 470.0, 501.0]


def test_those_that_have_waited_longest_make_room_and_are_counted() -> None:
    pending = PendingHeartbeats(100_000)
    for mac in range(30):
        pending.add(heartbeat(mac, float(mac), 9_000))
    assert list(pending.take().heartbeats) == list(range(20, 30))
    assert pending.lost == 20
    for _ in range(30):
        pending.add(heartbeat(1, 1.0, 60_000))
    assert pending.lost == 20, "one PC takes the room of its own heartbeats only"


def test_news_of_orders() -> None:
    pending = PendingHeartbeats()
    pending.sent(3, 1.0)
    pending.ended(3, 2.0, "done")
    taken = pending.take()
    assert (taken.sent, taken.ended) == ({3: 1.0}, {3: (2.0, "done")})
    assert pending.take().sent == {}
