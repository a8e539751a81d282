"""What the routes of the control process share: configuration, registry, clock, and the fleet."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path
from typing import TypeVar

from starlette.requests import HTTPConnection

from appliance.config.file import Config
from appliance.control.fleet.fleet import Fleet
from appliance.control.fleet.rooms import Room
from appliance.errors import UserError
from appliance.registry.allowed_rows import KeptAllowlist
from appliance.registry.database import Registry

T = TypeVar("T")

LOCK_WAIT = 1.5
"""Seconds that a page waits for a program that has locked the registry. Then it says so: few threads serve all."""


@dataclass
class Context:
    """One control process. `path` is the configuration file, `config` what is in force; `clock` returns seconds
    since the epoch. `networks`: who may connect; `names`: the host names of the page.
    `fleet`: all PCs, as the application (app.py) has them watched."""

    path: Path
    config: Config
    clock: Callable[[], float]
    networks: tuple[IPv4Network, ...] = ()
    names: tuple[str, ...] = ()
    fleet: Fleet = field(init=False)
    _kept: KeptAllowlist = field(default_factory=KeptAllowlist, init=False, repr=False)

    async def with_registry(self, work: Callable[[Registry], T]) -> T:
        """Do `work` with the registry, in a thread: SQLite waits for the disk and other writers. Raises UserError."""
        return await asyncio.to_thread(self.in_registry, work)

    def in_registry(self, work: Callable[[Registry], T]) -> T:
        """The same for who is in a thread already."""
        with Registry(self.config.registry, kept=self._kept, wait=LOCK_WAIT) as registry:
            return work(registry)

    async def room(self, *, with_edits: bool = False) -> Room:
        """All PCs as they were seen last; `with_edits`: with all that was changed by hand until now. Raises
        UserError."""
        edits = await self.with_registry(lambda registry: registry.edits()) if with_edits else -1
        room = await self.fleet.current(edits)
        if not room.read:
            raise UserError(room.trouble or "the registry is being read", "ask again in a moment", code=1)
        return room


def context_of(connection: HTTPConnection) -> Context:
    """The context of the application that serves this request: a FastAPI dependency."""
    found: Context = connection.app.state.context
    return found
