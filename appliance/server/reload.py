"""The running server reads its configuration again: all of it takes effect, or nothing.

Whoever asked for it finds the result in the registry (appliance/registry/reload_result.py) and in systemd's status.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import structlog

from appliance.config import file as configuration
from appliance.config import sections
from appliance.config.file import Config
from appliance.errors import RestartNeededError, UserError
from appliance.network.interfaces import interfaces
from appliance.process import systemd
from appliance.registry import reload_result
from appliance.registry.database import Registry
from appliance.server.box import Box

log = structlog.get_logger("serve")


class ConfigReload:
    """The reloads of one box. `rejected` says why the last one was rejected; empty if it was not."""

    def __init__(self, box: Box, registry: Registry, exports_changed: Callable[[], None]) -> None:
        """`exports_changed` is called when what is exported may have changed. The start counts as a good reload."""
        self._box = box
        self._registry = registry
        self._exports_changed = exports_changed
        self.rejected = ""
        reload_result.write(registry, reload_result.begin())

    async def at_each(self, hangup: asyncio.Event) -> None:
        """Reload whenever `hangup` is set; runs until it is cancelled."""
        while True:
            await hangup.wait()
            hangup.clear()
            self._reload()

    def _reload(self) -> None:
        systemd.reloading()
        result = reload_result.begin()
        self.rejected = ""
        try:
            self._apply(self._load())
            log.info("configuration reloaded", file=str(self._box.config.path))
        except UserError as error:
            result = replace(
                result, error=error.message, hint=error.hint, restart=isinstance(error, RestartNeededError)
            )
            log.error("the configuration was not reloaded; the old one stays", error=error.message, hint=error.hint)
            self.rejected = f"reload REJECTED, the old configuration stays: {error.message}"
            # Before the reload ends, because those who wait for its end read this line next.
            systemd.status(self.rejected)
        try:
            reload_result.write(self._registry, result)
        except Exception:
            log.exception("cannot write the result of the reload to the registry")
        systemd.ready()

    def _load(self) -> Config:
        fresh = configuration.load(self._box.config.path)
        if self._box.config.written and not fresh.written:
            raise UserError(
                f"the configuration file {fresh.path} is gone",
                "put it back, or restart the server to run with the defaults",
            )
        return fresh

    def _apply(self, fresh: Config) -> None:
        """Put it in force; raises UserError if it cannot be, or not as a whole."""
        running = self._box.config
        if not fresh.server.interfaces:  # the one that was found at the start stays
            fresh = replace(fresh, server=replace(fresh.server, interfaces=running.server.interfaces))
        if fresh.server.interfaces != running.server.interfaces:
            interfaces(fresh)
        if waiting := sections.changed(sections.fixed(running), fresh):
            raise RestartNeededError(
                f"{sections.in_words(waiting)} changed, which only a restart puts in force",
                "systemctl restart netboot-appliance (or: netboot-appliance reload --or-restart)",
            )
        self._box.configure(fresh)
        self._exports_changed()
