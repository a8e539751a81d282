"""Answers to a client that is admitted. PURE. There are no conditional requests: a release never changes under its
name."""

import re
from collections.abc import Mapping

from services.decision import Ignore, Reason
from services.http.basic_auth import CHALLENGE
from services.http.messages import Response

_STATUS = {
    Reason.NO_FILE: 404,
    Reason.OUTSIDE_ROOT: 404,
    Reason.NO_IMAGE: 503,
    Reason.NO_IMAGE_OF_RANGE: 503,
    Reason.TOO_MANY: 503,
    Reason.MALFORMED: 400,
    Reason.PASSWORDS_BLOCKED: 429,
    Reason.TOO_MANY_REPORTS: 429,
    Reason.TOO_MANY_HEARTBEATS: 429,
}
_TEXT = {"Content-Type": "text/plain; charset=utf-8"}
_FILE = {"Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
_SECRET = {"Cache-Control": "no-store"}  # a script holds the token, the archive what the token opens
_TAR = {"Content-Type": "application/x-tar", **_SECRET}
_CHALLENGE = {"WWW-Authenticate": CHALLENGE}
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})", re.ASCII)


def text(status: int, message: str, **fields: str) -> Response:
    """A text; `fields` in Python's spelling (`Allow="GET"`)."""
    return Response(status, {**_TEXT, **fields}, message.encode())


def refusal(reason: Reason) -> Response:
    """The answer to a refused request: the reason, with its status."""
    return text(_STATUS.get(reason, 403), f"{reason}\n")


def script(made: str | Ignore) -> Response | Ignore:
    """A boot script; for a locked menu entry and no password, the question for one.

    That 401 is not reported as a refusal: every client first asks without a password.
    """
    if made == Ignore(Reason.PASSWORD_NEEDED):
        return text(401, f"{Reason.PASSWORD_NEEDED}\n", **_CHALLENGE)
    return made if isinstance(made, Ignore) else text(200, made, **_SECRET)


def token(exchanged: str | Ignore) -> Response | Ignore:
    """The token that was got in exchange, and nothing else."""
    return exchanged if isinstance(exchanged, Ignore) else text(200, exchanged, **_SECRET)


def archive(tar: bytes | Ignore) -> Response | Ignore:
    """The tar of BOINC files."""
    return tar if isinstance(tar, Ignore) else Response(200, _TAR, tar)


def live_list(listed: str | Ignore) -> Response | Ignore:
    """The list of the archives for the root of a boot."""
    return listed if isinstance(listed, Ignore) else text(200, listed, **_SECRET)


def heartbeat(reply: bytes) -> Response:
    """The reply to a heartbeat."""
    return Response(200, {**_TEXT, **_SECRET}, reply)


def file(fields: Mapping[str, str], size: int) -> tuple[Response, range]:
    """The answer to a request with these fields for a file of `size` bytes, and which of its bytes to send.

    A range that cannot be read, or more than one, is ignored, as RFC 9110 (14.2) allows; one past the end gets 416.
    """
    wanted = _RANGE.fullmatch(fields.get("range", ""))
    if wanted is None or wanted[0] == "bytes=-" or (wanted[1] and wanted[2] and int(wanted[2]) < int(wanted[1])):
        return Response(200, _FILE, size=size), range(size)
    if wanted[1]:
        body = range(int(wanted[1]), min(int(wanted[2]) + 1 if wanted[2] else size, size))
    else:
        body = range(max(size - int(wanted[2]), 0), size)
    if not body:
        return Response(416, {**_FILE, "Content-Range": f"bytes */{size}"}), body
    part = f"bytes {body.start}-{body.stop - 1}/{size}"
    return Response(206, {**_FILE, "Content-Range": part}, size=len(body)), body
