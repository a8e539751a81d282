"""Moments, sizes and numbers in words, the same on a terminal and on the page."""

import time

from services.spans import span


def ago(at: float, now: float | None = None) -> str:
    """How long ago a moment was, as `40 s ago` or `3 d ago`."""
    return f"{span((time.time() if now is None else now) - at)} ago"


def moment(at: float) -> str:
    """A moment in local time, in seconds since the epoch up to the year 9999."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def counted(number: int, one: str, many: str) -> str:
    """A number with its noun."""
    return f"{number:,} {one if number == 1 else many}"


def size(count: int) -> str:
    """Bytes in decimal units."""
    for factor, unit in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} B"
