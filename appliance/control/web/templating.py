"""The pages' templates: Jinja2, with everything escaped, and the words that the terminal uses too.

A page extends `base.html`. Whatever a PC, a file or a person said goes through `harmless` and autoescape, which are
always on; only HTML that was rendered from these templates is marked as safe.
"""

import hashlib
import re
import socket
from collections.abc import AsyncIterator, Callable
from functools import cache
from pathlib import Path
from typing import Any

import anyio.lowlevel
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, StreamingResponse

from appliance.control.access.guard import form_secret
from appliance.control.fleet.remedies import for_one, remedies
from appliance.view import words
from services.foreign_text import printable
from services.spans import span

_HERE = Path(__file__).parent
STATIC = _HERE / "static"
"""What is served below /static/, to anybody who may connect."""

_CHUNK = 1 << 16
"""Characters that are sent at once: between two chunks the loop does other work."""


@cache
def asset(name: str) -> str:
    """The address of a static file. It changes with the file, so that browsers may keep the file for ever."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()
    return f"/static/{name}?{digest[:12]}"


_COMMAND = re.compile(
    r"(?:sudo )?(?:systemctl \w+ [a-z-]+|journalctl -k|netboot-appliance (?:"
    r"order [\w:]+ \w+|doctor probe [\w:]+|doctor pcap FILE"
    r"|(?:clients|boot|allow|image|exports) \w+(?: MAC| [\da-f:]{17})?"
    r"|config check(?: --online)?|\w+))(?: --[a-z]+(?: (?:nfs|local|\d+))?)*"
)


def harmless(value: Any) -> Any:
    """A value as a page shows it: text line by line without what steers a browser or cannot be seen, such as directions
    of writing. A registry may be older than the checks where text comes in, and a mail server's words are its own."""
    if type(value) is not str or (value.isascii() and value.isprintable()):
        return value
    return "\n".join(map(printable, value.split("\n")))


def commands(text: str) -> Markup:
    """Text in which the commands that can be typed are marked."""
    text = harmless(text)
    marked, at = Markup(), 0
    for found in _COMMAND.finditer(text):
        marked += Markup("{}<code>{}</code>").format(text[at : found.start()], found[0])
        at = found.end()
    return marked + text[at:]


environment = Environment(
    loader=FileSystemLoader(_HERE / "templates"),
    autoescape=True,
    finalize=harmless,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)
environment.globals |= {"asset": asset, "for_one": for_one, "remedies": remedies}
environment.filters |= {
    "ago": words.ago,
    "commands": commands,
    "counted": words.counted,
    "moment": words.moment,
    "size": words.size,
    "span": span,
}


def compile_all() -> None:
    """Compile all templates now. The first use of one would hold the loop for up to 80 ms."""
    for name in environment.list_templates():
        _template(name)


def macros(name: str) -> dict[str, Callable[..., str]]:
    """The macros of the template `name`, by their names."""
    return vars(environment.get_template(name).module)


def page(request: Request, name: str, status_code: int = 200, **values: Any) -> HTMLResponse:
    """Render the template `name`. `here` among the values is the address of the navigation's current page."""
    return HTMLResponse(_template(name).render(_shared(request, values)), status_code)


def long_page(request: Request, name: str, **values: Any) -> StreamingResponse:
    """Like `page`, for one with thousands of rows: sent in chunks, and the loop is free between them."""
    return StreamingResponse(_chunks(_template(name), _shared(request, values)), media_type="text/html")


async def _chunks(template: Template, values: dict[str, Any]) -> AsyncIterator[str]:
    pieces: list[str] = []
    length = 0
    for piece in template.generate(values):
        pieces.append(piece)
        length += len(piece)
        if length >= _CHUNK:
            yield "".join(pieces)
            pieces, length = [], 0
            await anyio.lowlevel.checkpoint()
    yield "".join(pieces)


@cache
def _template(name: str) -> Template:
    return environment.get_template(name)


def _shared(request: Request, values: dict[str, Any]) -> dict[str, Any]:
    """What every page has: `csrf` for its forms, the clock that ages are counted by, and the host's name, because
    people have pages of several boxes open."""
    context = request.app.state.context
    defaults = {"here": "", "csrf": form_secret(request), "now": context.clock(), "box_name": socket.gethostname()}
    return defaults | values
