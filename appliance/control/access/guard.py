"""Who may look, and who may change something: FastAPI dependencies for pages and the API alike.

A route that has neither is open to everybody who may connect. What a stranger gets instead of a page is decided in
appliance/control/access/refusals.py.
"""

import hmac
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection, Request

from appliance.control.access import credentials
from appliance.control.context import context_of
from appliance.registry.database import Registry

COOKIE = "__Host-netboot"
PLAIN_COOKIE = "netboot"
"""Behind a proxy, whose connection to the box is plain HTTP."""
FORM_FIELD = "csrf"
FORM_HEADER = "x-csrf-token"
ADMINISTRATOR, GUEST = "administrator", "guest"
_KNOWN = "netboot.visitor"
_FOR_PROGRAMS = "a program sends a token: Authorization: Bearer TOKEN, from netboot-appliance control token add NAME"


@dataclass(frozen=True)
class Visitor:
    """Who sends a request. `session`: the secret of a session, empty for tokens and guests."""

    name: str
    may_change: bool
    session: str = ""


class RefusedError(Exception):
    """A request that may not be answered; `status` 401 for who has to log in first, 403 for who may never, 429 for who
    has to wait. `headers` of the answer."""

    def __init__(self, status: int, message: str, hint: str = "", **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.hint = hint
        self.headers = headers


async def viewer(connection: HTTPConnection) -> str:
    """The name of whoever may look: "administrator", the name of a token, or "guest" where nobody needs to log in.
    Raises RefusedError."""
    return (await _admitted(connection)).name


async def administrator(request: Request) -> str:
    """The name of whoever may change something: "administrator" or the name of a token. Raises RefusedError.

    A request of a session must bring the secret of its forms: in the header X-CSRF-Token, or in the field `csrf`.
    """
    visitor = await _admitted(request)
    if visitor.name == GUEST and not visitor.may_change:
        raise RefusedError(401, "log in first", _FOR_PROGRAMS)
    if not visitor.may_change:
        raise RefusedError(403, f"the token {visitor.name!r} may only look", "make one without --read-only")
    if visitor.session:
        await _assert_own_form(request, visitor.session)
    return visitor.name


def form_secret(connection: HTTPConnection) -> str:
    """What the forms and buttons of a page bring along; empty for guests, who may change nothing."""
    secret = connection.cookies.get(cookie_name(connection), "")
    return credentials.form_secret(secret) if secret else ""


def cookie_name(connection: HTTPConnection) -> str:
    """The name of the session's cookie. `__Host-` needs HTTPS, as browsers see it."""
    return PLAIN_COOKIE if context_of(connection).config.control.behind_proxy else COOKIE


async def visitor_of(connection: HTTPConnection) -> Visitor | None:
    """Who sends this request, or None. Looked up once for each request."""
    if _KNOWN not in connection.scope:
        connection.scope[_KNOWN] = await look_up(connection)
    found: Visitor | None = connection.scope[_KNOWN]
    return found


async def look_up(connection: HTTPConnection) -> Visitor | None:
    """Who sends this request, as the registry says now."""
    context = context_of(connection)
    kind, _, bearer = connection.headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        token = await context.with_registry(lambda registry: credentials.token_of(registry, bearer.strip()))
        return Visitor(token.name, not token.read_only) if token else None
    if secret := connection.cookies.get(cookie_name(connection), ""):

        def known(registry: Registry) -> bool:
            return credentials.has_session(registry, secret, context.clock())

        if await context.with_registry(known):
            return Visitor(ADMINISTRATOR, True, secret)
    return Visitor(GUEST, False) if context.config.control.view_without_login else None


def is_foreign(connection: HTTPConnection) -> bool:
    """Whether a browser says that another site's page sends this request."""
    if connection.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return True
    origin = connection.headers.get("origin")
    return origin is not None and urlsplit(origin).netloc.lower() != connection.headers.get("host", "").lower()


async def _admitted(connection: HTTPConnection) -> Visitor:
    visitor = await visitor_of(connection)
    if visitor is None:
        raise RefusedError(401, "log in first", _FOR_PROGRAMS)
    return visitor


async def _assert_own_form(request: Request, session: str) -> None:
    if is_foreign(request):
        raise RefusedError(403, "another site's page sent this", "use the page of this box")
    given = request.headers.get(FORM_HEADER)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given is None and kind in ("application/x-www-form-urlencoded", "multipart/form-data"):
        given = (await request.form()).get(FORM_FIELD)  # type: ignore[assignment]
    wanted = credentials.form_secret(session)
    if not isinstance(given, str) or not hmac.compare_digest(given.encode(), wanted.encode()):
        raise RefusedError(403, "this page is out of date", "load it again, then repeat what you did")
