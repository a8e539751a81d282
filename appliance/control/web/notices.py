"""What the administrator is told: the rules, the last notices and how they went, and a button that tries it."""

from typing import Any

import anyio
import anyio.to_thread
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from appliance.control.context import Context
from appliance.control.notify import trial
from appliance.control.notify.trial import TrialView
from appliance.control.notify.view import notice_views, rule_views
from appliance.control.web.forms import Administrator, Box, Viewer, answer, said
from appliance.control.web.templating import page
from appliance.errors import OvertakenError, UserError
from appliance.registry.database import Registry

router = APIRouter(prefix="/notices", include_in_schema=False)
_SHOWN = 50
# Threads of its own: a mail server that hangs must not take those that read the registry.
_trying = anyio.CapacityLimiter(1)


@router.get("")
async def show(request: Request, box: Box, _: Viewer) -> Response:
    """The page."""
    return page(request, "notices.html", error=None, tried=None, **await _values(box))


@router.post("/test")
async def try_(request: Request, box: Box, who: Administrator) -> Response:
    """Send a test to all addresses, and show what they answered. A browser without scripts waits for it, too."""
    tried: list[TrialView] | None = None
    error = None
    try:
        those = trial.targets(box.config)
        if _trying.available_tokens < 1:
            raise OvertakenError("a test is under way", "its answers take a minute at most")
        said("notices tested", who)
        tried = await anyio.to_thread.run_sync(trial.run, box.config, those, box.clock(), limiter=_trying)
    except UserError as raised:
        error = raised
    if error is None and request.headers.get("HX-Request") != "true":
        return page(request, "notices.html", error=None, tried=tried, **await _values(box))
    return answer(request, "notices_test.html", "notices.html", "/notices", error, tried=tried, **await _values(box))


async def _values(box: Context) -> dict[str, Any]:
    def read(registry: Registry) -> dict[str, Any]:
        return {
            "rules": rule_views(registry, box.config.notify),
            "notices": notice_views(registry, _SHOWN),
        }

    targets = [target.shown for target in box.config.notify.targets]
    return {"targets": targets, "here": "/notices", **await box.with_registry(read)}
