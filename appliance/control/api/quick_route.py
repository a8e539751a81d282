"""A route whose answer becomes JSON at once: 500 PCs in 6 ms. FastAPI's own way holds the event loop for 80 ms."""

import functools
import inspect
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi.routing import APIRoute
from pydantic import TypeAdapter
from starlette.responses import Response


class QuickRoute(APIRoute):
    """For handlers of GET: values that we have made need no validation, and no copy in plain values."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **settings: Any) -> None:
        made = inspect.signature(endpoint).return_annotation
        quick = settings.get("methods") in (["GET"], {"GET"}) and not getattr(endpoint, "quick", False)
        super().__init__(
            path, _quick(endpoint, TypeAdapter(made)) if quick and made is not Response else endpoint, **settings
        )


def _quick(endpoint: Callable[..., Coroutine[Any, Any, Any]], kind: TypeAdapter[Any]) -> Callable[..., Any]:
    @functools.wraps(endpoint)
    async def answer(*arguments: Any, **named: Any) -> Response:
        return Response(kind.dump_json(await endpoint(*arguments, **named)), media_type="application/json")

    answer.quick = True  # type: ignore[attr-defined]
    return answer
