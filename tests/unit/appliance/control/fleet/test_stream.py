"""The response that tells a page what changed, as an ASGI server sees it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from appliance.config.file import load
from appliance.control.fleet.fleet import Fleet
from appliance.control.fleet.pcs import EVERYBODY
from appliance.control.fleet.rooms import Change
from appliance.control.fleet.stream import EventStream
from appliance.control.web.pen import RoomPen
from tests.unit.appliance.control.fleet.pcs import facts, kept


class Peer:
    """A browser's connection: keeps what it is sent."""

    def __init__(self) -> None:
        self.got = b""
        self.headers: dict[bytes, bytes] = {}
        self.ended = False
        self.reads = asyncio.Event()
        self.reads.set()
        self.left = asyncio.Event()
        self.told = asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        await self.reads.wait()
        self.headers |= dict(message.get("headers", []))
        self.got += message.get("body", b"")
        self.ended = message["type"] == "http.response.body" and not message["more_body"]
        self.told.set()

    async def until(self, words: bytes) -> None:
        async with asyncio.timeout(30):
            while words not in self.got:
                self.told.clear()
                await self.told.wait()


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    (tmp_path / "c.toml").write_text(f'[server]\ndata = "{tmp_path}"\n')
    config = load(tmp_path / "c.toml")
    return Fleet(lambda: config, time.time, RoomPen())


async def always() -> bool:
    return True


def begin(
    fleet: Fleet, peer: Peer, may_look: Callable[[], Awaitable[bool]] = always, **seconds: float
) -> "asyncio.Task[None]":
    stream = EventStream(
        lambda: fleet.listen("10.0.0.1", EVERYBODY),
        lambda: fleet.ident(fleet.room),
        lambda: [("anew", "")],
        may_look,
        **seconds,
    )
    return asyncio.create_task(stream({"type": "http"}, peer.receive, peer.send))  # type: ignore[arg-type]


def change(version: int) -> Change:
    return Change(version, ((None, kept(facts(1))),), "", "", anew=False)


async def test_a_page_gets_what_it_missed_and_what_happens(fleet: Fleet) -> None:
    peer = Peer()
    task = begin(fleet, peer)
    await peer.until(b"event: anew")
    assert peer.headers[b"content-type"].startswith(b"text/event-stream")
    assert peer.headers[b"cache-control"] == b"no-store"
    assert b"content-length" not in peer.headers
    fleet.hub.tell(change(1))
    await peer.until(b"event: rows")
    peer.left.set()
    await task
    assert len(fleet.hub) == 0


async def test_silence_is_broken_by_comments(fleet: Fleet) -> None:
    peer = Peer()
    task = begin(fleet, peer, beat=0.02)
    await peer.until(b":\n\n:\n\n")
    peer.left.set()
    await task


async def test_a_busy_stream_ends_with_the_session_too(fleet: Fleet) -> None:
    peer, asked = Peer(), []

    async def twice() -> bool:
        asked.append(1)
        return len(asked) < 3

    task = begin(fleet, peer, twice, beat=0.05)
    async with asyncio.timeout(30):
        while not task.done():
            fleet.hub.tell(change(1))
            await asyncio.sleep(0.005)
    assert peer.ended
    # Loading anew leads to the login.
    assert peer.got.endswith(b"event: anew\ndata: \n\n")
    assert len(fleet.hub) == 0


async def test_the_place_of_a_page_that_reads_nothing_is_given_to_others(fleet: Fleet) -> None:
    peer = Peer()
    task = begin(fleet, peer, stuck=0.05)
    await peer.until(b"event: anew")
    peer.reads.clear()
    fleet.hub.tell(change(1))
    async with asyncio.timeout(30):
        await task
    assert len(fleet.hub) == 0


async def test_the_process_ends_a_stream(fleet: Fleet) -> None:
    peer = Peer()
    task = begin(fleet, peer)
    await peer.until(b"event: anew")
    fleet.hub.end()
    async with asyncio.timeout(30):
        await task
    assert peer.ended
