"""The ERROR packets for clients that get no file. PURE."""

from services.decision import Reason
from services.tftp.packet import ErrorCode, encode_error

_REFUSALS = {
    Reason.NO_FILE: (ErrorCode.NOT_FOUND, "file not found"),
    Reason.OUTSIDE_ROOT: (ErrorCode.ACCESS_VIOLATION, "path outside the boot root"),
    Reason.UNREADABLE: (ErrorCode.ACCESS_VIOLATION, "file not readable"),
    Reason.READ_ONLY: (ErrorCode.ACCESS_VIOLATION, "this server takes no files"),
    Reason.MALFORMED: (ErrorCode.ILLEGAL_OPERATION, "unknown transfer mode"),
}
# No ERROR, so that the client asks again: it may be served then.
_SILENT = {Reason.STOPPING, Reason.TOO_MANY}


def refusal(reason: Reason) -> bytes | None:
    """The ERROR for `reason`; None where the client gets no answer."""
    if reason in _SILENT:
        return None
    return encode_error(*_REFUSALS.get(reason, (ErrorCode.NOT_FOUND, reason.value)))
