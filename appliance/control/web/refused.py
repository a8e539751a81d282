"""Machines that asked to boot and are not allowed: allow one, with a label."""

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from appliance.allowlist import Entry
from appliance.boot import allowed_edits
from appliance.control.context import Context
from appliance.control.web.forms import Administrator, Box, Viewer, answer, said, word
from appliance.control.web.templating import page
from appliance.errors import UserError
from appliance.registry.database import Registry
from appliance.view.refused import RefusedView
from appliance.view.strangers import find_refused, gather_refused
from services.ethernet import MacAddress

router = APIRouter(prefix="/refused", include_in_schema=False)


@router.get("")
async def show(request: Request, box: Box, _: Viewer, allowed: str = "") -> Response:
    """The list. `allowed` is the machine that was just allowed."""
    found = await box.with_registry(gather_refused)
    done = await box.with_registry(lambda registry: _entry(registry, allowed)) if allowed else None
    return page(request, "refused.html", error=None, done=done, **_values(found))


@router.post("")
async def allow(request: Request, box: Box, who: Administrator) -> Response:
    """Allow one that was refused."""
    form = await request.form()
    done, error, typed = None, None, {"mac": "", "label": ""}
    try:
        typed = {"mac": word(form, "mac", 60), "label": word(form, "label")}
        done = await box.with_registry(lambda registry: _allow(box, registry, typed["mac"], typed["label"]))
        said("allowed", who, range=str(done.range), label=done.label)
    except UserError as raised:
        error = raised
    found = await box.with_registry(gather_refused)
    back = f"/refused?allowed={done.range}" if done else ""
    values = {"done": done} | _values(found, typed if error else None)
    return answer(request, "refused_list.html", "refused.html", back, error, **values)


def _allow(box: Context, registry: Registry, text: str, label: str) -> Entry:
    span = allowed_edits.entry_of(text).range
    known = find_refused(registry, span.first)
    return allowed_edits.add(registry, box.config, str(span.first), label or known.label, {}).after


def _entry(registry: Registry, text: str) -> Entry | None:
    """What an address in the browser names, if it is allowed; whatever else it says is not repeated."""
    try:
        return registry.allowlist().decide(MacAddress.parse(text))
    except ValueError:
        return None


def _values(found: list[RefusedView], typed: dict[str, str] | None = None) -> dict[str, Any]:
    return {"found": found, "typed": typed or {"mac": "", "label": ""}, "here": "/refused"}
