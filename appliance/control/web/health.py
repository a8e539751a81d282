"""The doctor on the page: run it now, and read what it found, the worst first."""

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from appliance.control.doctor_runs import DoctorRuns
from appliance.control.web.forms import Administrator, Viewer, answer, said
from appliance.control.web.templating import page
from appliance.view.health import SEVERITIES

router = APIRouter(prefix="/health", include_in_schema=False)

_TITLES = {"error": "Errors", "warning": "Warnings", "note": "Notes", "ok": "As it should be"}


@router.get("")
async def show(request: Request, _: Viewer) -> Response:
    """The last examination, and a button for the next."""
    return page(request, "health.html", **_values(request))


@router.get("/now")
async def now(request: Request, _: Viewer) -> Response:
    """The part that changes when an examination ends."""
    return page(request, "health_now.html", **_values(request))


@router.post("")
async def run(request: Request, who: Administrator) -> Response:
    """Begin an examination, unless one is under way."""
    if _doctor(request).start():
        said("doctor started", who)
    return answer(request, "health_now.html", "health.html", "/health", **_values(request))


def _doctor(request: Request) -> DoctorRuns:
    found: DoctorRuns = request.app.state.doctor
    return found


def _values(request: Request) -> dict[str, Any]:
    doctor = _doctor(request)
    groups = []
    if doctor.report is not None:
        groups = [(each, _TITLES[each], found) for each in SEVERITIES if (found := doctor.report.of(each))]
    return {"doctor": doctor, "groups": groups, "here": "/health"}
