"""Polling in an event loop's place: what ends it, and which loops do not allow it."""

import asyncio
import selectors
import socket
from collections.abc import Iterator

import pytest

from services.linux.busy_poll import _SKIPPED_AFTER_NOTHING, BusyPoll


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, two = socket.socketpair()
    with one, two:
        yield one, two


async def test_a_descriptor_that_the_loop_watches_ends_the_wait(pair: tuple[socket.socket, socket.socket]) -> None:
    loop = asyncio.get_running_loop()
    loop.add_reader(pair[0], lambda: None)
    busy_poll = BusyPoll(loop)
    pair[1].send(b"x")
    assert busy_poll.ready_soon()
    assert busy_poll.ready_soon(), "it is still there"
    loop.remove_reader(pair[0])


async def test_after_a_wait_without_result_some_are_skipped(pair: tuple[socket.socket, socket.socket]) -> None:
    loop = asyncio.get_running_loop()
    loop.add_reader(pair[0], lambda: None)
    busy_poll = BusyPoll(loop)
    assert not busy_poll.ready_soon()
    pair[1].send(b"x")
    assert [busy_poll.ready_soon() for _ in range(_SKIPPED_AFTER_NOTHING + 1)] == [False] * _SKIPPED_AFTER_NOTHING + [
        True
    ]
    loop.remove_reader(pair[0])


async def test_scheduled_callbacks_come_first(pair: tuple[socket.socket, socket.socket]) -> None:
    loop = asyncio.get_running_loop()
    loop.add_reader(pair[0], lambda: None)
    busy_poll = BusyPoll(loop)
    pair[1].send(b"x")
    ran = asyncio.Event()
    loop.call_soon(ran.set)
    assert not busy_poll.ready_soon()
    loop.remove_reader(pair[0])
    await ran.wait()


@pytest.mark.parametrize("selector", [selectors.SelectSelector, selectors.PollSelector])
def test_a_loop_without_the_private_attributes_does_not_wait(
    pair: tuple[socket.socket, socket.socket], selector: type[selectors.BaseSelector]
) -> None:
    async def ask() -> bool:
        loop = asyncio.get_running_loop()
        loop.add_reader(pair[0], lambda: None)
        pair[1].send(b"x")
        ready = BusyPoll(loop).ready_soon()
        loop.remove_reader(pair[0])
        return ready

    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector())) as runner:
        assert runner.run(ask()) is False
