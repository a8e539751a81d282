"""Short answers, and the answer that is none: a connection aborted with not one byte written."""

import socket
import struct

from services.decision import Reason
from services.http.library import web

HEADERS = {"Server": "netboot-appliance"}

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER for 0 s
_STATUS = {
    Reason.NO_FILE: 404,
    Reason.OUTSIDE_ROOT: 404,
    Reason.NO_IMAGE: 503,
    Reason.TOO_MANY: 503,
    Reason.MALFORMED: 400,
    Reason.PASSWORDS_TIRED: 429,
}


def text(status: int, message: str, **headers: str) -> web.Response:
    """A text for an admitted client; `headers` in Python's spelling (`Allow="GET"`)."""
    return web.Response(status=status, text=message, headers={**HEADERS, **headers})


def refusal(reason: Reason) -> web.Response:
    """What an admitted client is told when its request gets nothing."""
    return text(_STATUS.get(reason, 403), f"{reason}\n")


def abort(request: web.BaseRequest) -> web.StreamResponse:
    """Reset the connection. The response that is returned satisfies aiohttp and can no longer be sent."""
    if request.transport is not None:
        connection = request.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        request.transport.abort()
    return web.Response(status=403)
