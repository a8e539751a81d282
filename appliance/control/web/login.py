"""Log in and out."""

from typing import Annotated
from urllib.parse import urlsplit

import structlog
from fastapi import APIRouter, Depends, Form, Request
from starlette.responses import RedirectResponse, Response

from appliance.control.access import credentials, guard
from appliance.control.access.attempts import LoginAttempts
from appliance.control.access.guard import RefusedError
from appliance.control.context import context_of
from appliance.control.web.templating import page

router = APIRouter()
log = structlog.get_logger("control")


@router.get("/login")
async def form(request: Request, next: str = "/") -> Response:
    """The form."""
    return await _form(request, next, "")


@router.post("/login")
async def log_in(
    request: Request,
    password: Annotated[str, Form(max_length=credentials.LONGEST_PASSWORD)] = "",
    next: Annotated[str, Form(max_length=2000)] = "/",
) -> Response:
    """Begin a session, if the password is right."""
    if guard.is_foreign(request):
        raise RefusedError(403, "another site's page sent this", "use the page of this box")
    context = context_of(request)
    wanted = await context.with_registry(credentials.password_of)
    if wanted is None:
        return await _form(request, next, "", 409)
    address = request.client.host if request.client else ""
    attempts: LoginAttempts = request.app.state.attempts
    right = await attempts.check(address, wanted, password)
    if right is None:
        if attempts.are_news():
            log.warning("too many wrong passwords", address=address)
        return await _form(request, next, "Too many wrong passwords. Try again in a few minutes.", 429)
    if not right:
        log.warning("a wrong password", address=address)
        return await _form(request, next, "That is not the password.", 403)
    secret = await context.with_registry(lambda registry: credentials.begin_session(registry, context.clock()))
    log.info("logged in", address=address)
    answer = RedirectResponse(_local(next), 303)
    _set_cookie(request, answer, secret)
    return answer


@router.post("/logout", dependencies=[Depends(guard.administrator)])
async def log_out(request: Request) -> Response:
    """End the session."""
    secret = request.cookies.get(guard.cookie_name(request), "")
    await context_of(request).with_registry(lambda registry: credentials.end_session(registry, secret))
    answer = RedirectResponse("/login", 303)
    _set_cookie(request, answer, "", 0)
    return answer


def _set_cookie(request: Request, answer: Response, secret: str, age: int = int(credentials.LONGEST)) -> None:
    # Lax would do for links to the page; Strict, because nobody links to it from elsewhere.
    answer.set_cookie(
        guard.cookie_name(request),
        secret,
        max_age=age,
        path="/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )


async def _form(request: Request, after: str, trouble: str, status: int = 200) -> Response:
    has_password = await context_of(request).with_registry(credentials.password_of) is not None
    return page(request, "login.html", status, next=_local(after), trouble=trouble, has_password=has_password)


def _local(path: str) -> str:
    """The path if it leads to a page of this box, else the first page."""
    parts = urlsplit(path)
    local = path.startswith("/") and not path.startswith("//") and path.isascii() and path.isprintable()
    return path if local and "\\" not in path and not parts.scheme and not parts.netloc else "/"
