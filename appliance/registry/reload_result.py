"""The result of the latest reload of the configuration, by the server and by the page. Other processes read it."""

import time
from dataclasses import asdict, dataclass

from appliance.registry.database import Registry
from appliance.registry.rows import moment, text

SERVER, PAGE = "reload", "page_reload"
"""Whose reload it was."""


@dataclass(frozen=True, slots=True)
class ReloadResult:
    """One reload, or the start. Without an error the new configuration is in force, except for what `note` says.

    `begun` is the host's time.monotonic(), `at` is time.time().
    """

    begun: float
    at: float
    error: str = ""
    hint: str = ""
    note: str = ""


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
        result = ReloadResult(**found)
        for word in (result.error, result.hint, result.note):
            text(word)
        moment(result.at)
        moment(result.begun)
        return result
