"""Whose request is next, when there are more than can be handled."""

import random

import pytest

from services.dhcp.waiting_room import AGAIN_WITHIN, FEW, MOST, WAITS, WaitingRoom
from services.recent_names import RecentNames
from tests.fakes.dhcp_client import DISCOVER, REQUEST, message

PC, OTHER = bytes.fromhex("525400aabb01"), bytes.fromhex("525400aabb02")


def room(again_after: float | None = None) -> WaitingRoom[bytes]:
    heard = RecentNames[bytes](AGAIN_WITHIN, b"secret")
    return WaitingRoom(heard) if again_after is None else WaitingRoom(heard, again_after)


def enter(waiting: WaitingRoom[bytes], mac: bytes, now: float, kind: int = DISCOVER, giaddr: str = "0.0.0.0") -> bytes:
    datagram = message(kind, mac, xid=int(now), giaddr=giaddr)
    waiting.enter(datagram, datagram, now)
    return datagram


def others(count: int) -> list[bytes]:
    return [number.to_bytes(6, "big") for number in range(count)]


def test_few_are_called_in_the_order_in_which_they_came() -> None:
    waiting = room()
    came = [enter(waiting, mac, 100.0) for mac in others(FEW)]
    assert [waiting.next(100.0) for _ in came] == came
    assert waiting.next(100.0) is None
    assert (len(waiting), waiting.dropped) == (0, 0)


def test_of_many_the_latest_is_called_first() -> None:
    waiting = room()
    came = [enter(waiting, mac, 100.0) for mac in others(FEW + 2)]
    assert [waiting.next(100.0) for _ in range(3)] == [came[-1], came[-2], came[0]]


def test_who_asks_again_is_called_before_all_others() -> None:
    waiting = room()
    enter(waiting, PC, 100.0)
    while waiting.next(100.0):
        pass
    for mac in others(MOST):
        enter(waiting, mac, 103.0)
    asks_again = enter(waiting, PC, 104.0)
    for mac in others(2 * MOST)[MOST:]:
        enter(waiting, mac, 104.0)
    assert waiting.next(104.0) == asks_again


@pytest.mark.parametrize("seconds", [0.0, 0.5])
def test_a_copy_is_not_asking_again(seconds: float) -> None:
    waiting = room()
    enter(waiting, PC, 100.0)
    waiting.next(100.0)
    first = enter(waiting, OTHER, 100.0)
    enter(waiting, PC, 100.0 + seconds)
    assert waiting.next(100.0 + seconds) == first


def test_on_the_port_that_is_asked_later_whoever_was_heard_before_asks_again() -> None:
    waiting = room(again_after=0.0)
    enter(waiting, PC, 100.0)
    waiting.next(100.0)
    enter(waiting, OTHER, 100.1)
    asks = enter(waiting, PC, 100.1, REQUEST)
    assert waiting.next(100.1) == asks


def test_a_later_request_takes_the_place_of_the_earlier_one() -> None:
    waiting = room()
    enter(waiting, PC, 100.0)
    later = enter(waiting, PC, 101.0)
    assert (waiting.next(101.0), waiting.next(101.0), waiting.dropped) == (later, None, 0)


def test_requests_by_two_relays_and_of_two_kinds_all_wait() -> None:
    waiting = room()
    came = [
        enter(waiting, PC, 100.0),
        enter(waiting, PC, 100.0, giaddr="10.0.0.1"),
        enter(waiting, PC, 100.0, giaddr="10.0.0.2"),
        enter(waiting, PC, 100.0, REQUEST),
    ]
    assert [waiting.next(100.0) for _ in came] == came


def test_who_has_waited_too_long_is_sent_away() -> None:
    waiting = room()
    enter(waiting, PC, 100.0)
    in_time = enter(waiting, OTHER, 101.0)
    assert waiting.next(100.5 + WAITS) == in_time
    assert waiting.dropped == 1


def test_no_more_wait_than_there_is_room_for() -> None:
    waiting = room()
    for mac in others(3 * MOST):
        enter(waiting, mac, 100.0)
    assert (len(waiting), waiting.dropped) == (MOST, 2 * MOST)


def test_a_short_datagram_harms_nobody() -> None:
    waiting = room()
    waiting.enter(b"", b"short", 100.0)
    waiting.enter(b"x", b"shorter", 100.0)
    enter(waiting, PC, 100.0)
    assert waiting.next(100.0) == b"shorter"


@pytest.mark.parametrize("rate", [3_000, 10_000])
def test_beside_a_flood_of_made_up_names_firmware_is_called_by_its_second_request(rate: int) -> None:
    """A server that handles 1,000 a second; PXE ROMs ask after 4, 8 and 16 s. As a queue it lost two of three, or nine
    of ten, whatever they did."""
    waiting, chance, handled = room(), random.Random(5), set[bytes]()
    honest = {chance.randbytes(6): chance.uniform(0, 4) for _ in range(50)}
    asks = sorted((begin + after, mac) for mac, begin in honest.items() for after in (0.0, 4.0, 12.0))
    for millisecond in range(10_000):
        now = 100.0 + millisecond / 1000
        for _ in range(rate // 1000):
            enter(waiting, chance.randbytes(6), now)
        while asks and asks[0][0] <= now - 100.0:
            enter(waiting, asks.pop(0)[1], now)
        if request := waiting.next(now):
            handled.add(request[28:34])
    assert sum(mac in handled for mac in honest) >= (49 if rate == 3_000 else 42)
