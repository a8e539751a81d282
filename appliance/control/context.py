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
from appliance.registry.database import Registry

T = TypeVar("T")


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

    async def with_registry(self, work: Callable[[Registry], T]) -> T:
        """Do `work` with the registry, in a thread: SQLite waits for the disk and other writers. Raises UserError."""
        return await asyncio.to_thread(self._with_registry, work)

    def _with_registry(self, work: Callable[[Registry], T]) -> T:
        with Registry(self.config.registry) as registry:
            return work(registry)


def context_of(connection: HTTPConnection) -> Context:
    """The context of the application that serves this request: a FastAPI dependency."""
    found: Context = connection.app.state.context
    return found
