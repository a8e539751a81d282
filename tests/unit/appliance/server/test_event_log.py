"""The log of events: at once and in order in a room that boots, a small share of the time in a flood."""

import asyncio
from collections.abc import Iterator, MutableMapping
from ipaddress import IPv4Address
from typing import Any, cast

import pytest
import structlog
from structlog.testing import capture_logs

from appliance.journal.stream import Stream
from appliance.journal.timeline import Boot
from appliance.server import event_log
from appliance.server.event_log import EventLogger
from services.decision import Reason
from services.ethernet import MacAddress
from services.events import (
    AddressSeen,
    Discovered,
    Event,
    Ignored,
    Offered,
    Reported,
    ScriptServed,
    TransferFailed,
    TransferProgressed,
    TransferServed,
)

MAC = MacAddress.parse("52:54:00:aa:bb:cc")
BOOT = Boot(1, MAC, started=0.0, token="t", release="r", last_event=0.0)
STRANGER = Ignored("tftp", "10.0.0.9", Reason.NOT_ALLOWED)
Lines = list[MutableMapping[str, Any]]


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lines]:
    monkeypatch.setattr(event_log, "log", structlog.get_logger())
    with capture_logs() as lines:
        yield lines


class Clock:
    """Each look at it costs `step` seconds; a line costs one look."""

    def __init__(self, step: float) -> None:
        self.now = 100.0
        self.step = step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


def power_on(number: int) -> list[Event]:
    """What a PC brings up to its kernel."""
    mac = MacAddress(MAC.value + number)
    discovers = [Discovered(mac, 7, ipxe, 1, 0) for ipxe in (False, True)]
    files = (("tftp", "snponly.efi"), ("http", "vmlinuz"), ("http", "initrd.img"))
    reads = [TransferProgressed(mac, service, path, sent, 2) for service, path in files for sent in (0, 1)]
    served = [TransferServed(mac, service, path, 2, 0.1) for service, path in files]
    answers = [Offered(mac, "snponly.efi", port) for port in (67, 4011)]
    return [*discovers, *answers, AddressSeen(mac, IPv4Address("10.0.0.5")), *reads, *served, ScriptServed(mac)]


async def test_a_line_is_there_one_turn_of_the_loop_after_its_event(lines: Lines) -> None:
    stream = Stream()
    following = asyncio.create_task(EventLogger(stream, Clock(0.0)).follow())
    await asyncio.sleep(0)
    stream.publish(ScriptServed(MAC, "http"), BOOT)
    stream.publish(STRANGER, None)
    assert lines == []
    await asyncio.sleep(0)
    assert lines == [
        {"event": "script served", "mac": str(MAC), "root": "http", "log_level": "info"},
        {
            "event": "ignored",
            "service": "tftp",
            "client": "10.0.0.9",
            "reason": Reason.NOT_ALLOWED.value,
            "log_level": "warning",
        },
    ]
    following.cancel()


async def test_events_that_come_while_the_log_rests_wait_a_moment_only(lines: Lines) -> None:
    stream, loop = Stream(), asyncio.get_running_loop()
    following = asyncio.create_task(EventLogger(stream, Clock(0.0)).follow())
    await asyncio.sleep(0)
    for number in range(5):
        stream.publish(ScriptServed(MacAddress(number)), BOOT)
        began = loop.time()
        while len(lines) <= number:
            assert loop.time() - began < 60
            await asyncio.sleep(0.001)
    assert [line["mac"] for line in lines] == [str(MacAddress(number)) for number in range(5)]
    following.cancel()


def test_what_is_left_is_written_before_the_end(lines: Lines) -> None:
    stream = Stream()
    log = EventLogger(stream, Clock(step=1.0))
    for number in range(1000):
        stream.publish(ScriptServed(MacAddress(number)), BOOT)
    log.close()
    assert [line["mac"] for line in lines] == [str(MacAddress(number)) for number in range(1000)]


def test_a_room_that_is_switched_on_at_once_loses_nothing(lines: Lines) -> None:
    stream = Stream()
    log = EventLogger(stream)
    events = [power_on(number) for number in range(1000)]
    for step in zip(*events, strict=True):
        for event in step:
            stream.publish(event, BOOT)
    log.close()
    assert len(lines) == 6 * 1000
    assert {line["event"] for line in lines} == {"discovered", "served", "script served"}


async def test_a_flood_costs_the_loop_a_tenth_of_its_time(lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, rests, worked = Clock(step=0.0001), list[float](), list[float]()
    began = clock.now

    async def sleep(seconds: float) -> None:
        nonlocal began
        worked.append(clock.now - began)
        rests.append(seconds)
        clock.now += seconds
        began = clock.now
        for _ in range(1000):
            stream.publish(STRANGER, None)
        if len(rests) == 50:
            raise asyncio.CancelledError

    monkeypatch.setattr(asyncio, "sleep", sleep)
    stream = Stream()
    log = EventLogger(stream, clock)
    stream.publish(STRANGER, None)
    with pytest.raises(asyncio.CancelledError):
        await log.follow()
    assert max(worked) < 0.0025, "no answer waits longer"
    # The first batch was one line.
    assert sum(worked[1:]) < 0.12 * (sum(worked[1:]) + sum(rests[1:]))


def test_a_flood_s_losses_are_logged_and_booting_pcs_are_not_among_them(lines: Lines) -> None:
    stream = Stream()
    log = EventLogger(stream)
    for _ in range(100_000):
        stream.publish(STRANGER, None)
    stream.publish(ScriptServed(MAC), BOOT)
    log.close()
    ignored = [line for line in lines if line["event"] == "ignored"]
    script, lost = lines[-2:]
    assert script["event"] == "script served"
    assert (lost["event"], lost["log_level"]) == (
        "events were not logged, because too many came at once",
        "warning",
    )
    assert len(ignored) + lost["lost"] == 100_000
    log.close()
    assert lines[-1] is lost, "once"


async def test_while_a_flood_goes_on_its_losses_are_logged_now_and_then(
    lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_log, "_HELD", 200)
    clock, stream = Clock(step=0.001), Stream()
    log, published, turns = EventLogger(stream, clock), 0, 0

    async def sleep(seconds: float) -> None:
        nonlocal published, turns
        turns += 1
        clock.now += seconds
        if turns == 2000:
            raise asyncio.CancelledError
        for _ in range(50):
            stream.publish(STRANGER, None)
        published += 50

    monkeypatch.setattr(asyncio, "sleep", sleep)
    began = clock.now
    stream.publish(STRANGER, None)
    with pytest.raises(asyncio.CancelledError):
        await log.follow()
    told = [line["lost"] for line in lines if line["event"] != "ignored"]
    assert 2 <= len(told) <= (clock.now - began) / 10 + 1
    log.close()
    told = [line["lost"] for line in lines if line["event"] != "ignored"]
    assert sum(told) + len(lines) - len(told) == published + 1


async def test_a_line_that_fails_stops_neither_the_log_nor_the_server(lines: Lines) -> None:
    stream = Stream()
    following = asyncio.create_task(EventLogger(stream, Clock(0.0)).follow())
    await asyncio.sleep(0)
    stream.publish(Ignored("tftp", "x", cast(Reason, None)), None)
    stream.publish(ScriptServed(MAC), BOOT)
    await asyncio.sleep(0)
    assert not following.done()
    assert [line["event"] for line in lines] == ["an event could not be logged", "script served"]
    following.cancel()


def test_a_pc_may_use_any_name_in_its_report(lines: Lines) -> None:
    stream = Stream()
    log = EventLogger(stream)
    details = dict.fromkeys(("self", "event", "method_name", "mac", "stage", "name", "level", "exc_info"), "forged")
    stream.publish(Reported(MAC, "failed", details | {"reason": "no disk"}), BOOT)
    log.close()
    (line,) = lines
    assert line.pop("details") == details | {"reason": "no disk"}
    assert line == {"event": "reported", "mac": str(MAC), "stage": "failed", "log_level": "info"}


def test_a_transfer_that_failed_is_a_warning(lines: Lines) -> None:
    stream = Stream()
    log = EventLogger(stream)
    stream.publish(TransferFailed(MAC, "http", "vmlinuz", 5, "gone"), BOOT)
    log.close()
    (line,) = lines
    assert (line["log_level"], line["path"], line["why"]) == ("warning", "vmlinuz", "gone")
