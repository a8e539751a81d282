"""Names of schedules. PURE."""

import re
from collections.abc import Iterable
from typing import Self


class ScheduleName(str):
    """The name of a schedule, which is one word of `allow export`. Raises ValueError."""

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """Check the name."""
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}", text):
            raise ValueError("a name is 1 to 32 letters, digits and ._-, as in [schedules.night]")
        return super().__new__(cls, text)


def unknown(name: str, known: Iterable[str]) -> tuple[str, str]:
    """The message and the hint for a schedule that the configuration does not have."""
    names = ", ".join(sorted(known))
    hint = f"there are: {names}" if names else "there is none: write a [schedules.NAME] into the configuration"
    return f"there is no schedule {name!r}", hint
