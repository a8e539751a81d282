"""What a client hears that gets no file."""

from services.decision import Reason
from services.tftp.packet import ErrorCode, encode_error

_REFUSALS = {
    Reason.NO_FILE: (ErrorCode.NOT_FOUND, "file not found"),
    Reason.OUTSIDE_ROOT: (ErrorCode.ACCESS_VIOLATION, "path outside the boot root"),
    Reason.UNREADABLE: (ErrorCode.ACCESS_VIOLATION, "file not readable"),
    Reason.READ_ONLY: (ErrorCode.ACCESS_VIOLATION, "this server takes no files"),
    Reason.MALFORMED: (ErrorCode.ILLEGAL_OPERATION, "unknown transfer mode"),
}
# Silence, not an ERROR: the client asks again, and it may be served then.
_SILENT = {Reason.STOPPING, Reason.TOO_MANY}


def refusal(reason: Reason) -> bytes | None:
    """The ERROR for it; None where the client is to hear nothing."""
    if reason in _SILENT:
        return None
    return encode_error(*_REFUSALS.get(reason, (ErrorCode.NOT_FOUND, reason.value)))
