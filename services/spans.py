"""Lengths of time in words. PURE."""


def span(seconds: float) -> str:
    """A length of time in its largest fitting unit, as `40 s` or `3 d`."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0, seconds):.0f} s"
