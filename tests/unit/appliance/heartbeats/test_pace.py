"""Heartbeats come evenly, however many PCs are switched on at once."""

from collections import Counter

from appliance.heartbeats.pace import PERIOD, next_in
from services.ethernet import MacAddress

FIRST = MacAddress.parse("52:54:00:10:00:00").value
ROOM = [MacAddress(FIRST + number) for number in range(5000)]
START = 1_790_000_017.3


def test_five_thousand_pcs_that_were_switched_on_together() -> None:
    second = [START + next_in(mac, START) for mac in ROOM]
    third = [at + next_in(mac, at) for mac, at in zip(ROOM, second, strict=True)]
    for times in (second, third):
        in_each_second = Counter(int(at) % PERIOD for at in times)
        assert len(in_each_second) == PERIOD
        assert max(in_each_second.values()) <= 1.2 * len(ROOM) / PERIOD
    assert min(next_in(mac, START) for mac in ROOM) >= PERIOD // 2
    assert max(next_in(mac, START) for mac in ROOM) < PERIOD * 1.5


def test_a_pc_in_its_second_sends_once_a_minute() -> None:
    mac, at = ROOM[17], START
    at += next_in(mac, at)
    for _ in range(5):
        assert next_in(mac, at) == PERIOD
        at += PERIOD
    assert next_in(mac, at - 7) == PERIOD + 7, "it was early"
    assert next_in(mac, at + 7) == PERIOD - 7, "it was late"
