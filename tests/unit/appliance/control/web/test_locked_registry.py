"""Pages while another program has locked the registry: they say so soon, and what needs no registry goes on."""

import asyncio
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from appliance.control.context import LOCK_WAIT
from tests.unit.appliance.cli.room_of_pcs import COMPUTES, OFF
from tests.unit.appliance.control.web.browser import Browser, text


@pytest.fixture
def locked(page: Browser) -> Iterator[sqlite3.Connection]:
    """Somebody who keeps readers out as well, such as a program that repairs the file."""
    with closing(sqlite3.connect(page.context.config.registry, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        other.execute("UPDATE edits SET count = count")
        yield other


async def test_a_page_waits_for_a_moment_and_then_says_so(page: Browser, locked: sqlite3.Connection) -> None:
    began = time.monotonic()
    asked = asyncio.gather(*(page.get(f"/pcs/{COMPUTES}", 503) for _ in range(4)))
    await page.get("/static/style.css")
    assert not asked.done()
    for shown in await asked:
        assert "is locked: another program keeps writing to it try again; see which program: fuser -v" in text(shown)
    # Not ten times as long; the machine may be slow.
    assert time.monotonic() - began < 4 * LOCK_WAIT + 2
    assert "is locked" in text(await page.post(f"/pcs/{OFF}/next", 503, entry="local"))
    locked.execute("COMMIT")
    locked.close()
    assert "is locked" not in text(await page.get(f"/pcs/{COMPUTES}"))
