"""Keeps the boot files that are served those of the active image: at the start, and whenever another image is active.

What to copy is decided in image/bootfiles.py. PCs that are loading a file when another one takes its place get the rest
of the old one.
"""

import asyncio

import structlog

from appliance.boot.choices import debians_files, release_of_loaders
from appliance.config.file import Config
from appliance.errors import UserError
from appliance.server.box import Box
from image.bootfiles import BootFileError, install
from image.release import ReleaseError, active_ids
from services.linux import atomic_file

_LOOK_SECONDS = 0.25

log = structlog.get_logger("serve")


def install_at_start(config: Config) -> str | None:
    """Put the boot files in place, and return the id of the image whose they are; raises UserError."""
    try:
        active = release_of_loaders(active_ids(config.images))
    except ReleaseError:
        active = None
    try:
        _install(config, active)
    except BootFileError as error:
        raise UserError(str(error), error.hint, code=1) from error
    return active


async def follow(box: Box, installed: str | None) -> None:
    """Put the boot files of each image in place that becomes active; `installed` is the id of the one whose are.

    In a thread: the disk may take a second to sync them. Runs until it is cancelled.
    """
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        active = release_of_loaders(box.active)
        if active is None or active == installed:
            continue
        try:
            await asyncio.to_thread(_install, box.config, active)
        except BootFileError as error:
            log.error("the boot loaders of the active image are not in place", error=str(error), do=error.hint)
        installed = active
        box.refresh_boot_files()


def _install(config: Config, active: str | None) -> None:
    install(
        config.boot_root,
        config.boot.names,
        config.boot.directory,
        debians_files(config, active),
        write=atomic_file.write,
    )
