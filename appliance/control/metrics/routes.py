"""`/metrics` for Prometheus, `/healthz` and `/readyz` for whatever watches processes."""

import asyncio
import time
from collections.abc import Iterable
from importlib.metadata import version

from fastapi import APIRouter, Depends, FastAPI, Request
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from starlette.responses import JSONResponse, Response

from appliance.control.access.guard import viewer
from appliance.control.access.pace import paced
from appliance.control.context import Context
from appliance.control.metrics import figures
from appliance.control.metrics.boot_times import BootTimes
from appliance.control.metrics.families import families
from appliance.control.metrics.figures import BoxFigures
from appliance.control.metrics.requests import RequestTimes, Stopwatch
from appliance.errors import UserError
from appliance.registry.database import Registry
from appliance.registry.server_lock import holder
from appliance.registry.sql_errors import SqlError
from image import release
from image.release import ReleaseError

router = APIRouter(include_in_schema=False)
_READY_SECONDS = 1.0
"""How long an answer of /readyz holds: anybody who may connect may ask."""


class Measuring:
    """What the metrics keep between two scrapes. One scrape at a time."""

    def __init__(self, context: Context) -> None:
        self.requests = RequestTimes()
        self._context = context
        self._boots = BootTimes(context.clock())
        self._one_at_a_time = asyncio.Lock()
        self._ready: tuple[float, dict[str, str]] | None = None

    async def scrape(self, accept: str) -> tuple[bytes, str]:
        """The metrics in the format that is asked for, and its content type. Raises UserError."""
        context = self._context
        async with self._one_at_a_time:
            room, now = await context.room(), context.clock()

            def write(registry: Registry) -> tuple[bytes, str]:
                self._boots.read(registry)
                found = figures.read(context.config, registry, now, room)
                return self._write(found, accept)

            return await context.with_registry(write)

    async def readiness(self) -> dict[str, str]:
        """What is needed to boot PCs: "ok", or what is wrong, without names and addresses."""
        if self._ready is None or time.monotonic() - self._ready[0] > _READY_SECONDS:
            self._ready = time.monotonic(), await asyncio.to_thread(_readiness, self._context)
        return self._ready[1]

    def _write(self, found: BoxFigures, accept: str) -> tuple[bytes, str]:
        encode, content_type = choose_encoder(accept)
        made = CollectorRegistry(auto_describe=False)
        made.register(_Once(families(found, self._boots, version("netboot-appliance"), len(self._context.fleet.hub))))
        made.register(self.requests.histogram)
        return encode(made), content_type


class _Once(Collector):
    """Metrics that were made for one scrape."""

    def __init__(self, made: Iterable[Metric]) -> None:
        self._made = list(made)

    def collect(self) -> Iterable[Metric]:
        """All of them."""
        return self._made


def _readiness(context: Context) -> dict[str, str]:
    config = context.config
    found = {"registry": "ok", "serve": "ok", "image": "ok"}
    try:
        with Registry(config.registry) as registry:
            registry.allowlist()
        if holder(config.registry) is None:
            found["serve"] = "it does not run"
    except (UserError, SqlError):
        found |= {"registry": "it cannot be read", "serve": "nobody knows"}
    try:
        if release.current(config.images) is None:
            found["image"] = "none is active"
    except ReleaseError:
        found["image"] = "the active one is broken"
    return found


def measure(app: FastAPI, context: Context) -> None:
    """Have the requests of this application measured, and its metrics served."""
    measuring = app.state.measuring = Measuring(context)
    app.add_middleware(Stopwatch, times=measuring.requests)
    app.include_router(router)


@router.get("/metrics", dependencies=[Depends(paced), Depends(viewer)])
async def show_metrics(request: Request) -> Response:
    """The box in numbers, for Prometheus."""
    measuring: Measuring = request.app.state.measuring
    text, content_type = await measuring.scrape(request.headers.get("accept", ""))
    return Response(text, media_type=content_type)


@router.get("/healthz")
async def live() -> Response:
    """This process lives: nothing else is asked."""
    return JSONResponse({"status": "ok"})


@router.get("/readyz")
async def ready(request: Request) -> Response:
    """Whether PCs can boot, as far as this process sees: 503 if not, with what is wrong."""
    measuring: Measuring = request.app.state.measuring
    found = await measuring.readiness()
    fine = all(word == "ok" for word in found.values())
    return JSONResponse({"status": "ok" if fine else "not ready", "checks": found}, 200 if fine else 503)
