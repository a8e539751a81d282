"""A browser at a box with PCs in every state."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.unit.appliance.cli import room_of_pcs
from tests.unit.appliance.cli.box_with_releases import BoxWithReleases
from tests.unit.appliance.control.web.browser import Browser, browser


@pytest_asyncio.fixture
async def page(tmp_path: Path) -> AsyncIterator[Browser]:
    box = BoxWithReleases(tmp_path)
    box.configure('[schedules.night]\nwindows = ["Mon-Fri 19:00-06:30"]\n')
    box.run("allow", "add", "52:54:00:*", "--label", "room 12")
    async with browser(tmp_path / "c.toml") as found:
        room_of_pcs.fill(found.context.config.registry)
        yield found
