"""What came of the running server's last look at its configuration: it writes that down, other processes read it."""

import time
from dataclasses import asdict, dataclass

from appliance.registry.database import Registry

_KEY = "reload"


@dataclass(frozen=True, slots=True)
class ReloadResult:
    """One reload, or the start. No error: it is in force, but for what `note` says.

    `begun` is the host's time.monotonic(), `at` time.time().
    """

    begun: float
    at: float
    error: str = ""
    hint: str = ""
    note: str = ""


def begin() -> ReloadResult:
    """A good one that begins now."""
    return ReloadResult(time.monotonic(), time.time())


def write(registry: Registry, verdict: ReloadResult) -> None:
    """Put it in the place of the one before."""
    registry.set_server(_KEY, asdict(verdict))


def read(registry: Registry) -> ReloadResult | None:
    """The latest one; None before the first start."""
    found = registry.server().get(_KEY)
    return ReloadResult(**found) if found else None
