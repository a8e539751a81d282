"""Whether the clock is right: releases, leases, certificates and the registry depend on it."""

import ctypes
from datetime import UTC, datetime

from appliance.config.file import Config
from appliance.doctor.finding import Finding, error, note, ok
from image.release import ReleaseError, current

OLDEST = datetime(2026, 1, 1, tzinfo=UTC)
"""No correct clock shows an earlier time: this program did not exist."""

_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised
_ROOM = 512  # more than struct timex takes


def judge(now: datetime, synchronised: bool | None, built: datetime | None) -> Finding:
    """`built` is when the active image was made, on this machine; `synchronised` is None when that is unknown."""
    since = max(OLDEST, built or OLDEST)
    if now < since:
        return error(
            "clock",
            f"the clock is wrong: it says {now:%Y-%m-%d %H:%M}, which is before "
            + ("the active image was built" if since is not OLDEST else "this program was written"),
            "certificates and package signatures are refused, and the stages of boots get times in the wrong order",
            "set it (timedatectl set-time), and keep it right: apt-get install systemd-timesyncd",
        )
    said = f"the clock says {now:%Y-%m-%d %H:%M} UTC"
    if synchronised is None:
        return note("clock", f"{said}; whether NTP keeps it right is unknown")
    if not synchronised:
        return note("clock", f"{said}, but NTP does not keep it right", "", "apt-get install systemd-timesyncd")
    return ok("clock", f"{said}, kept right by NTP")


def check(config: Config) -> list[Finding]:
    """Read the clock and ask the kernel whether it is synchronised."""
    try:
        release = current(config.images)
    except ReleaseError:
        release = None
    return [judge(datetime.now(UTC), _synchronised(), release.created if release else None)]


def _synchronised() -> bool | None:
    state: int = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_ROOM))
    return None if state < 0 else state != _TIME_ERROR
