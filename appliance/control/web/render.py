"""The one door to the page's templates. Jinja2 escapes whatever a PC, or anybody, has said."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from appliance.control.access.guard import FORM_FIELD, form_secret

HERE = Path(__file__).parent

TEMPLATES = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)


def render(request: Request, name: str, values: Mapping[str, Any], status: int = 200) -> HTMLResponse:
    """A page from a template. Beside `values` it has `path`, and `csrf` with `csrf_field` for its forms and buttons."""
    shared = {"path": request.url.path, "csrf": form_secret(request), "csrf_field": FORM_FIELD}
    return HTMLResponse(TEMPLATES.get_template(name).render(shared | dict(values)), status)
