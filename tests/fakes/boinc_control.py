"""What a test changes while the fake BOINC project runs: one JSON file in its directory, read at each request.

A test calls `change(directory, ...)`; what it does not name stays as it is. Nothing is kept in memory.
"""

import json
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

FILE = "control.json"


class Weather(StrEnum):
    """How the project is."""

    UP = "up"
    REFUSING = "refusing"
    """Nobody listens on its port."""
    UNAVAILABLE = "unavailable"
    """Each request gets a 503, as from a web server whose programs do not run."""
    MAINTENANCE = "maintenance"
    """The pages are there; the scheduler says that the project is down, and to come back in an hour."""
    SLOW = "slow"
    """Each answer takes `SLOW_SECONDS`."""


SLOW_SECONDS = 8.0


@dataclass(frozen=True, slots=True)
class ManagedAccount:
    """What the account manager wants of one project on each PC; None: it says nothing about that."""

    url: str
    authenticator: str
    suspend: bool | None = None
    dont_request_more_work: bool | None = None
    resource_share: float | None = None
    detach: bool = False
    update: bool = False


@dataclass(frozen=True, slots=True)
class Control:
    """What holds now."""

    weather: Weather = Weather.UP
    account_key: str = ""
    """The one account key that is accepted; empty: the one that the project was started with."""
    venue: str = ""
    """Where all hosts stand, according to the account's pages: empty, home, school or work."""
    cancelled: tuple[str, ...] = ()
    """The jobs that hosts are told to abort."""
    managed: tuple[ManagedAccount, ...] = ()
    """What the account manager answers."""
    managed_preferences: str = ""
    """Elements of the preferences that the account manager sends; empty: none."""


def read(directory: Path) -> Control:
    """What holds for the project in `directory`."""
    try:
        stored = json.loads((directory / FILE).read_text())
    except FileNotFoundError:
        return Control()
    stored["weather"] = Weather(stored["weather"])
    stored["cancelled"] = tuple(stored["cancelled"])
    stored["managed"] = tuple(ManagedAccount(**account) for account in stored["managed"])
    return Control(**stored)


def change(directory: Path, **changes: Any) -> None:
    """Set some fields of what holds, from the next request on. The project need not run yet."""
    directory.mkdir(parents=True, exist_ok=True)
    temporary = directory / f"{FILE}.new"
    temporary.write_text(json.dumps(asdict(replace(read(directory), **changes))))
    temporary.replace(directory / FILE)
