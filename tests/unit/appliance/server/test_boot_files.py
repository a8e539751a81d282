"""The boot files that are served follow the active image."""

import asyncio
from pathlib import Path
from typing import cast

import pytest
from structlog.testing import capture_logs

from appliance.config.file import Config, parse
from appliance.errors import UserError
from appliance.server import boot_files
from appliance.server.box import Box
from image import release
from tests.unit.image.test_release import NEW, OLD, publish


def images_with_loaders(images: Path) -> None:
    """Two images with boot loaders that say whose they are; the old one is active."""
    for each in (OLD, NEW):
        publish(images, each)
        (images / each / "loaders").mkdir()
        (images / each / "loaders" / "snponly.efi").write_text(f"loader of {each}")
    release.activate(images, OLD)


class FakeBox:
    """A box in which an image becomes active."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.active = {"boinc": OLD}
        self.refreshed = asyncio.Event()

    def refresh_boot_files(self) -> None:
        self.refreshed.set()


@pytest.fixture
def config(tmp_path: Path) -> Config:
    images_with_loaders(tmp_path / "images")
    return parse(f'[server]\ndata = "{tmp_path}"\n[boot]\ndirectory = "{tmp_path}/own"\n', Path("c.toml"))


async def test_loaders_follow_the_active_image_while_a_pc_reads_one(config: Config) -> None:
    assert boot_files.install_at_start(config) == OLD
    loader, box = config.boot_root / "snponly.efi", FakeBox(config)
    with loader.open() as reading:
        follower = asyncio.create_task(boot_files.follow(cast(Box, box), OLD))
        box.active = {"boinc": NEW}
        await asyncio.wait_for(box.refreshed.wait(), 30)
        assert loader.read_text() == f"loader of {NEW}"
        assert reading.read() == f"loader of {OLD}"
    box.refreshed.clear()
    box.active = {"boinc": OLD}
    await asyncio.wait_for(box.refreshed.wait(), 30)
    assert loader.read_text() == f"loader of {OLD}"
    follower.cancel()


async def test_an_image_whose_loaders_cannot_be_put_in_place_is_logged_once(config: Config) -> None:
    config.boot_root.write_text("in the way")
    box = FakeBox(config)
    with capture_logs() as logs:
        follower = asyncio.create_task(boot_files.follow(cast(Box, box), None))
        await asyncio.wait_for(box.refreshed.wait(), 30)
        follower.cancel()
    (line,) = logs
    assert (line["log_level"], line["event"]) == ("error", "the boot loaders of the active image are not in place")


def test_a_missing_loader_of_ones_own_stops_the_start(config: Config, tmp_path: Path) -> None:
    text = f'[server]\ndata = "{tmp_path}"\n[boot]\ndirectory = "{tmp_path}/own"\n[boot.loaders]\nbios = "mine.0"\n'
    with pytest.raises(UserError, match=r"mine\.0 is neither in"):
        boot_files.install_at_start(parse(text, Path("c.toml")))
