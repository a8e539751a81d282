"""What a request gets that cannot be answered: a page for people, JSON for programs. It reveals nothing else."""

from urllib.parse import quote

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from appliance.control.access.guard import RefusedError
from appliance.control.web.templating import page
from appliance.errors import NotFoundError, OvertakenError, UserError
from appliance.registry.sql_errors import RegistryError
from services.foreign_text import printable

_FOR_PROGRAMS = ("/api/", "/metrics", "/healthz", "/readyz")
_WORDS = {
    404: ("There is nothing here.", ""),
    405: ("That cannot be done here.", ""),
    413: ("That is too much.", ""),
    500: ("A fault in netboot-appliance.", "the log has the details: journalctl -u netboot-appliance-control"),
}


def handle_errors(app: FastAPI) -> None:
    """Every error that is none of ours becomes an answer; `Shield` takes care of the others."""
    app.add_exception_handler(RefusedError, _refused)
    app.add_exception_handler(UserError, _user_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)


def is_for_program(request: Request) -> bool:
    """Whether a program asks, and not a person with a browser."""
    return request.url.path.startswith(_FOR_PROGRAMS)


def answer(request: Request, status: int, message: str, hint: str = "", **headers: str) -> Response:
    """An error as a page or as JSON, with words for people."""
    message, hint = printable(message), printable(hint)
    if is_for_program(request):
        return JSONResponse({"message": message, "hint": hint}, status, headers)
    shown = page(request, "error.html", status, status=status, message=message, hint=hint)
    shown.headers.update(headers)
    return shown


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)
    if error.status != 401:
        return answer(request, error.status, error.message, error.hint, **error.headers)
    if is_for_program(request):
        return answer(request, 401, error.message, error.hint, **{"WWW-Authenticate": "Bearer"})
    # After the login, people go on where they wanted to look; a form that they sent is not sent again.
    there = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    login = f"/login?next={quote(there)}" if request.method == "GET" else "/login"
    if "hx-request" in request.headers:
        return Response(status_code=401, headers={"HX-Redirect": "/login"})
    if "text/event-stream" in request.headers.get("accept", ""):
        return Response(status_code=401)
    return RedirectResponse(login, 303)


def _user_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, UserError)
    match error:
        case NotFoundError():
            status = 404
        case OvertakenError():
            status = 409
        case RegistryError():
            status = 503
        case _:
            status = 422 if error.code == 2 else 503
    return answer(request, status, error.message, error.hint)


def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    what = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()[:5])
    return answer(request, 422, f"the request is not valid: {what}")


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message, hint = _WORDS.get(error.status_code, (str(error.detail), ""))
    return answer(request, error.status_code, message, hint, **dict(error.headers or {}))


def fault(request: Request) -> Response:
    """The answer to a request after which we are to blame."""
    return answer(request, 500, *_WORDS[500])
