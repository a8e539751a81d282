"""Waiting in an event loop's place: what ends it, and where there is none."""

import asyncio
import selectors
import socket
from collections.abc import Iterator

import pytest

from services.linux.busy_poll import _BARREN, BusyPoll


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, two = socket.socketpair()
    with one, two:
        yield one, two


async def test_what_the_loop_watches_ends_the_wait(pair: tuple[socket.socket, socket.socket]) -> None:
    loop = asyncio.get_running_loop()
    loop.add_reader(pair[0], lambda: None)
    lull = BusyPoll(loop)
    pair[1].send(b"x")
    assert lull.brings()
    assert lull.brings(), "it is still there"
    loop.remove_reader(pair[0])


async def test_after_a_wait_for_nothing_there_is_none_for_a_while(pair: tuple[socket.socket, socket.socket]) -> None:
    loop = asyncio.get_running_loop()
    loop.add_reader(pair[0], lambda: None)
    lull = BusyPoll(loop)
    assert not lull.brings()
    pair[1].send(b"x")
    assert [lull.brings() for _ in range(_BARREN + 1)] == [False] * _BARREN + [True]
    loop.remove_reader(pair[0])


async def test_what_is_scheduled_comes_first(pair: tuple[socket.socket, socket.socket]) -> None:
    loop = asyncio.get_running_loop()
    loop.add_reader(pair[0], lambda: None)
    lull = BusyPoll(loop)
    pair[1].send(b"x")
    ran = asyncio.Event()
    loop.call_soon(ran.set)
    assert not lull.brings()
    loop.remove_reader(pair[0])
    await ran.wait()


@pytest.mark.parametrize("selector", [selectors.SelectSelector, selectors.PollSelector])
def test_a_loop_that_cannot_be_asked_has_none(
    pair: tuple[socket.socket, socket.socket], selector: type[selectors.BaseSelector]
) -> None:
    async def ask() -> bool:
        loop = asyncio.get_running_loop()
        loop.add_reader(pair[0], lambda: None)
        pair[1].send(b"x")
        brings = BusyPoll(loop).brings()
        loop.remove_reader(pair[0])
        return brings

    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector())) as runner:
        assert runner.run(ask()) is False
