"""Delayed answers leave after their time, their number is bounded, and none leaves once the server is closed."""

import asyncio

from services.dhcp.delayed_send import DelayedSend

SOON = 0.02


async def test_an_answer_leaves_after_its_delay_and_not_before() -> None:
    left = asyncio.Event()
    start = asyncio.get_running_loop().time()
    DelayedSend().send(SOON, left.set)
    assert not left.is_set()
    await asyncio.wait_for(left.wait(), 60)
    assert asyncio.get_running_loop().time() - start >= SOON


async def test_one_without_a_delay_leaves_at_once() -> None:
    left = []
    DelayedSend().send(0, lambda: left.append(1))
    assert left == [1]


async def test_when_too_many_wait_an_answer_leaves_at_once() -> None:
    left = []
    last = asyncio.Event()
    delayed = DelayedSend(most=2)
    for number in (1, 2, 3):
        delayed.send(SOON, lambda number=number: left.append(number))  # type: ignore[misc]
    assert left == [3]
    delayed.send(0, lambda: None)
    asyncio.get_running_loop().call_later(2 * SOON, last.set)
    await asyncio.wait_for(last.wait(), 60)
    assert left == [3, 1, 2]
    delayed.send(SOON, lambda: left.append(4))
    assert left == [3, 1, 2], "there is room again"


async def test_a_closed_server_sends_nothing_more() -> None:
    left = []
    delayed = DelayedSend()
    delayed.send(SOON, lambda: left.append(1))
    delayed.cancel()
    later = asyncio.Event()
    asyncio.get_running_loop().call_later(2 * SOON, later.set)
    await asyncio.wait_for(later.wait(), 60)
    assert left == []


async def test_a_failure_ends_only_itself() -> None:
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    done = asyncio.Event()
    delayed = DelayedSend()

    def fail() -> None:
        raise OSError("no route")

    delayed.send(SOON, fail)
    delayed.send(SOON, done.set)
    await asyncio.wait_for(done.wait(), 60)
    assert faults == []
