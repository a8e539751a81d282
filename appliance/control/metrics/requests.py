"""How long the control process takes until it begins to answer, by route."""

import time

from prometheus_client import Histogram, disable_created_metrics
from starlette.types import ASGIApp, Message, Receive, Scope, Send

API = "/api/v1"
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)
# When a series began is known from its first scrape.
disable_created_metrics()  # type: ignore[no-untyped-call]
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})


class RequestTimes:
    """A histogram whose labels are bounded: routes of ours, known methods, classes of status codes."""

    def __init__(self) -> None:
        self.histogram = Histogram(
            "netboot_appliance_control_request_seconds",
            "Until the page or the API began to answer.",
            ("route", "method", "status"),
            buckets=_BUCKETS,
            registry=None,
        )

    def add(self, scope: Scope, status: int, seconds: float) -> None:
        """Count an answer."""
        route = getattr(scope.get("route"), "path", "") or "(none)"
        if scope["path"].startswith(API) and not route.startswith((API, "(")):
            # A route knows the rest of its path, not where its router is.
            route = API + route
        method = scope["method"] if scope["method"] in _METHODS else "(other)"
        self.histogram.labels(route, method, f"{status // 100}xx").observe(seconds)


class Stopwatch:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, times: RequestTimes) -> None:
        self._app = app
        self._times = times

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and note when its answer begins."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._times.add(scope, message["status"], time.perf_counter() - began)
            await send(message)

        await self._app(scope, receive, noted)
