"""The stream of events: readers, their bounded queues, and what they lose."""

from appliance.journal.stream import Published, Stream, Subscription
from appliance.journal.timeline import Boot
from services.decision import Reason
from services.ethernet import MacAddress
from services.events import Ignored, ScriptServed

BOOT = Boot(1, MacAddress(1), started=0.0, token="t", release="r", last_event=0.0)
STRANGER = Ignored("tftp", "10.0.0.9", Reason.NOT_ALLOWED)


def event(number: int) -> ScriptServed:
    return ScriptServed(MacAddress(number))


def take_all(subscription: Subscription) -> list[Published]:
    return list(iter(subscription.take, None))


def publish(stream: Stream, *numbers: int) -> None:
    for number in numbers:
        stream.publish(event(number), BOOT)


def test_every_reader_gets_every_event_once_in_order() -> None:
    stream = Stream()
    publish(stream, 1)
    early, late = stream.subscribe(10, lambda: None), stream.subscribe(10, lambda: None)
    publish(stream, 2, 3)
    stream.publish(STRANGER, None)
    expected = [(event(2), BOOT), (event(3), BOOT), (STRANGER, None)]
    assert (take_all(early), take_all(late)) == (expected, expected)
    assert (take_all(early), early.lost) == ([], 0)


def test_a_full_queue_loses_events_for_its_own_reader_and_counts_them() -> None:
    stream = Stream()
    small, large = stream.subscribe(2, lambda: None), stream.subscribe(10, lambda: None)
    publish(stream, 1, 2, 3, 4)
    assert [small.take(), small.lost] == [(event(1), BOOT), 2]
    publish(stream, 5)
    assert take_all(small) == [(event(2), BOOT), (event(5), BOOT)]
    assert (small.lost, large.lost, len(take_all(large))) == (2, 0, 5)


def test_refusals_leave_room_for_what_concerns_pcs_that_boot() -> None:
    stream = Stream()
    reader = stream.subscribe(10, lambda: None)
    for _ in range(1000):
        stream.publish(STRANGER, None)
    assert reader.lost == 995
    publish(stream, *range(5))
    assert reader.lost == 995
    assert take_all(reader) == [(STRANGER, None)] * 5 + [(event(number), BOOT) for number in range(5)]


def test_a_reader_is_woken_when_its_queue_is_no_longer_empty() -> None:
    woken: list[None] = []
    stream = Stream()
    reader = stream.subscribe(2, lambda: woken.append(None))
    publish(stream, 1, 2, 3)
    assert len(woken) == 1
    reader.take()
    publish(stream, 4)
    assert len(woken) == 1, "it has not taken all yet"
    take_all(reader)
    publish(stream, 5)
    assert len(woken) == 2
