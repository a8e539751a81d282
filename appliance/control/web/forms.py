"""What the pages with forms have in common: who asks, how an edit is answered, where an error is shown.

htmx asks for the part of a page that changes and gets just that. A browser without scripts sends the same form; after
an edit it is sent back to the page, so that a reload repeats nothing. What a person typed stays where it was typed.
"""

from typing import Annotated, Any

import structlog
from fastapi import Depends
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


def by_htmx(request: Request) -> bool:
    """Whether htmx asks, for a part of the page."""
    return request.headers.get("HX-Request") == "true"


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
