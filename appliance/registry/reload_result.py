"""The result of the latest reload of the configuration, by the server and by the page. Other processes read it."""

import time
from dataclasses import asdict, dataclass, fields

from appliance.registry.database import Registry
from appliance.registry.rows import moment, text

SERVER, PAGE = "reload", "page_reload"
"""Whose reload it was."""


@dataclass(frozen=True, slots=True)
class ReloadResult:
    """One reload, or the start. Without an error the new configuration is in force. `restart`: that is all it needs.

    `begun` is the host's time.monotonic(), `at` is time.time().
    """

    begun: float
    at: float
    error: str = ""
    hint: str = ""
    restart: bool = False


def begin() -> ReloadResult:
    """A successful reload that begins now."""
    return ReloadResult(time.monotonic(), time.time())


def write(registry: Registry, result: ReloadResult, of: str = SERVER) -> None:
    """Replace the previous result."""
    registry.set_server(of, asdict(result))


def read(registry: Registry, of: str = SERVER) -> ReloadResult | None:
    """The latest result; None before the first start."""
    with registry.reading("server"):
        found = registry.server().get(of)
        if not found:
            return None
        known = {each.name for each in fields(ReloadResult)}
        result = ReloadResult(**{name: value for name, value in dict(found).items() if name in known})
        for word in (result.error, result.hint):
            text(word)
        moment(result.at)
        moment(result.begun)
        return result
