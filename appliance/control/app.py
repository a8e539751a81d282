"""The application of the control process: one router for each room beside this file."""

from fastapi import FastAPI

from appliance.control.context import Context


def create_app(context: Context) -> FastAPI:
    """The page and the API for one box."""
    app = FastAPI(title="netboot-appliance", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.context = context
    return app
