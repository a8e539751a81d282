"""The application of the control process: one router for each room beside this file."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from appliance.control.context import Context
from appliance.control.web import room, static_files


def create_app(context: Context) -> FastAPI:
    """The page and the API for one box."""

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        context.fleet.start()
        yield
        await context.fleet.stop()

    app = FastAPI(title="netboot-appliance", docs_url=None, redoc_url=None, openapi_url=None, lifespan=life)
    app.state.context = context
    app.mount("/static", static_files.files)
    app.include_router(room.router)
    return app
