"""What the pages with forms have in common: who asks, how an edit is answered, how an error is shown.

htmx asks for the part of a page that changes and gets just that. A browser without scripts sends the same form; after
an edit it is sent back to the page, so that a reload repeats nothing. What a person typed stays where it was typed.
"""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any
from urllib.parse import quote

import structlog
from fastapi import Depends
from fastapi.routing import APIRoute
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from appliance.control.access.guard import administrator, viewer
from appliance.control.context import Context, context_of
from appliance.control.web.templating import page
from appliance.errors import UserError

log = structlog.get_logger("control")

Box = Annotated[Context, Depends(context_of)]
Viewer = Annotated[str, Depends(viewer)]
Administrator = Annotated[str, Depends(administrator)]
"""Parameters of routes: the box, and the name of whoever looks or changes something."""

LONGEST_FIELD = 4096
"""Characters of one field that somebody typed."""

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class PageRoute(APIRoute):
    """A route whose errors are pages, too: message and hint, or only these if htmx asks."""

    def get_route_handler(self) -> Handler:
        """The usual handler, and what follows from a UserError."""
        usual = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                return await usual(request)
            except UserError as error:
                return problem(request, error, 404 if request.method == "GET" else 422)

        return handle


def by_htmx(request: Request) -> bool:
    """Whether htmx asks, for a part of the page."""
    return request.headers.get("HX-Request") == "true"


def problem(request: Request, error: UserError, status: int) -> Response:
    """An error on a page of its own. htmx shows it only with the status 200."""
    if by_htmx(request):
        return page(request, "problem_part.html", error=error)
    return page(request, "problem.html", status, error=error, back=_back(request))


def answer(
    request: Request, part: str, whole: str, back: str, error: UserError | None = None, **values: Any
) -> Response:
    """What an edit is answered with: the part of the page for htmx, the whole one with an error, or the way back to the
    page."""
    if by_htmx(request):
        return page(request, part, error=error, **values)
    if error is not None:
        return page(request, whole, 422, error=error, **values)
    return RedirectResponse(back, 303)


def word(form: FormData, name: str, longest: int = LONGEST_FIELD) -> str:
    """One field as text, without spaces around it; empty if it is missing. Raises UserError if it is too long."""
    found = form.get(name, "")
    text = "" if isinstance(found, UploadFile) else found.strip()
    if len(text) > longest:
        raise UserError(f"{name} is longer than {longest:,} characters", "nothing was changed")
    return text


def said(event: str, who: str, **what: object) -> None:
    """Record in the log who changed what."""
    log.info(event, by=who, **what)


def _back(request: Request) -> str:
    """The page on which the form was, as far as its own address says so."""
    first = request.url.path.strip("/").split("/")[0]
    return f"/{quote(first)}" if first in ("refused", "allowlist", "images", "log", "health") else "/"
