"""The result of the server's last reload: the server writes it to the registry, other processes read it there."""

import time
from dataclasses import asdict, dataclass

from appliance.registry.database import Registry

_KEY = "reload"


@dataclass(frozen=True, slots=True)
class ReloadResult:
    """One reload, or the start. If `error` is empty the configuration is in force, except for what `note` says.

    `begun` is the host's time.monotonic(), `at` time.time().
    """

    begun: float
    at: float
    error: str = ""
    hint: str = ""
    note: str = ""


def begin() -> ReloadResult:
    """A good result of a reload that begins now."""
    return ReloadResult(time.monotonic(), time.time())


def write(registry: Registry, result: ReloadResult) -> None:
    """Replace the result before it."""
    registry.set_server(_KEY, asdict(result))


def read(registry: Registry) -> ReloadResult | None:
    """The latest result; None before the first start."""
    found = registry.server().get(_KEY)
    return ReloadResult(**found) if found else None
