"""The application of the control process: one router for each room beside this file."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from appliance.control import doctor_runs
from appliance.control.access.attempts import LoginAttempts
from appliance.control.access.pace import RequestPace
from appliance.control.access.refusals import handle_errors
from appliance.control.access.shield import Shield
from appliance.control.api import routes as api
from appliance.control.boxes.others import OtherBoxes
from appliance.control.canaries import CanaryJudge
from appliance.control.context import Context
from appliance.control.doctor_runs import DoctorRuns
from appliance.control.fleet.fleet import Fleet
from appliance.control.metrics.routes import measure
from appliance.control.notify.service import NoticeService
from appliance.control.waking import Waker
from appliance.control.web import login, pages, room
from appliance.control.web.build_watch import BuildWatch
from appliance.control.web.pen import RoomPen
from appliance.control.web.static_files import files
from appliance.control.web.templating import compile_all
from appliance.images import build_unit
from appliance.view.build import build_view


def create_app(context: Context) -> FastAPI:
    """The page and the API for one box."""
    compile_all()
    context.fleet = fleet = Fleet(lambda: context.config, context.clock, RoomPen())

    notices = NoticeService(lambda: context.config, context.clock)
    canaries = CanaryJudge(lambda: context.config, context.clock)
    waker = Waker(lambda: context.config, context.clock)

    builds = BuildWatch(lambda: build_view(build_unit.latest(), context.clock()), build_unit.marks, fleet.hub.places)

    boxes = OtherBoxes(lambda: context.config, context.clock)

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        fleet.start()
        notices.start()
        canaries.start()
        waker.start()
        boxes.start()
        yield
        builds.end()
        await asyncio.to_thread(boxes.stop)
        await asyncio.to_thread(waker.stop)
        await asyncio.to_thread(canaries.stop)
        await asyncio.to_thread(notices.stop)
        await fleet.stop()

    app = FastAPI(title="netboot-appliance", docs_url=None, redoc_url=None, openapi_url=None, lifespan=life)
    app.state.context = context
    app.state.attempts = LoginAttempts()
    app.state.pace = RequestPace()
    app.state.boxes = boxes
    app.state.builds = builds
    measure(app, context)
    app.state.doctor = DoctorRuns(doctor_runs.command(context.path), context.clock)
    app.add_middleware(Shield, context=context)
    handle_errors(app)
    app.include_router(api.router)
    for router in (login.router, room.router, *pages.ROUTERS):
        app.include_router(router, include_in_schema=False)
    app.mount("/static", files, name="static")
    deque(iter_route_contexts(app.routes), 0)  # made with the first request otherwise, while all others wait
    return app
