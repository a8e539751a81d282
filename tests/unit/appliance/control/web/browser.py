"""The pages without a socket: a browser that an administrator uses, with htmx or without scripts."""

import html
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from appliance.config.file import load
from appliance.control.access.guard import administrator, viewer
from appliance.control.app import create_app
from appliance.control.context import Context
from appliance.registry.database import Registry


class Browser:
    """Asks for pages of the box. `scripts`: htmx is there, and wants parts of pages."""

    def __init__(self, app: FastAPI, client: httpx.AsyncClient, context: Context) -> None:
        self.app = app
        self.context = context
        self.scripts = False
        self._client = client

    @property
    def config(self) -> Path:
        """The configuration file."""
        return self.context.path

    @property
    def registry(self) -> Registry:
        return Registry(self.context.config.registry)

    async def get(self, path: str, status: int = 200) -> str:
        """A page's HTML."""
        return self._checked(await self._client.get(path, headers=self._headers()), status)

    async def post(self, path: str, status: int = 303, **fields: Any) -> str:
        """Send a form; the page or part that is answered."""
        return await self.send(path, status, data=fields)

    async def send(self, path: str, status: int, **what: Any) -> str:
        """Send anything."""
        return self._checked(await self._client.post(path, headers=self._headers(), **what), status)

    async def raw(self, path: str) -> httpx.Response:
        """What is no page."""
        return await self._client.get(path)

    def _headers(self) -> Mapping[str, str]:
        return {"HX-Request": "true"} if self.scripts else {}

    def _checked(self, answer: httpx.Response, status: int) -> str:
        wanted = 200 if self.scripts and status in (303, 422) else status
        assert answer.status_code == wanted, answer.text
        return answer.text if answer.status_code != 303 else answer.headers["location"]


def text(page: str) -> str:
    """What a person reads of a page, on one line."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page)).split())


@asynccontextmanager
async def browser(config: Path, clock: float | None = None) -> AsyncIterator[Browser]:
    """A browser, and the application behind it."""
    import time

    context = Context(config, load(config), (lambda: clock) if clock else time.time)
    app = create_app(context)

    async def somebody() -> str:
        return "administrator"

    app.dependency_overrides = {viewer: somebody, administrator: somebody}
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="https://127.0.0.1") as client:
        yield Browser(app, client, context)
