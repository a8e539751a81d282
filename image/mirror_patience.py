"""How long a build waits for a mirror that does not answer. PURE: runs nothing, and time is an argument.

Each program gives up one file after a few tries, and then asks for the next one, of hundreds. So somebody has to notice
that it is not the file.
"""

import re

TRY_SECONDS = 10
"""As long as wget waits for the mirror to connect, or to send something more; a proxy may have to fetch it first."""
_APT_SECONDS = 7
"""apt asks a server that has sent nothing a second time before it says so."""

APT = f"""\
Acquire::Retries "2";
Acquire::http::Timeout "{_APT_SECONDS}";
Acquire::https::Timeout "{_APT_SECONDS}";
APT::Update::Error-Mode "any";
"""
"""apt.conf(5), for the time of the build."""

WGET = f"""\
timeout = {TRY_SECONDS}
tries = 3
waitretry = 2
dot_style = giga
"""
"""wgetrc for debootstrap, which fetches with wget."""

SECONDS = 2 * TRY_SECONDS - 1.0
"""In vain, with nothing that arrived between: then the mirror is lost. Two tries."""
_LONGEST_TRY = TRY_SECONDS + 5.0

_IN_VAIN = re.compile(
    # apt: to be tried again, or given up.
    r"(?:Ign|Err):\d+ "
    # wget. What ends well has a "saved" at its end.
    r"|.*(?:Read error \(|Read error at byte |No data received|failed: (?:Connection|No route|Network)|"
    r"unable to resolve host address)"
)
_ARRIVED = re.compile(r"(?:Get|Hit):\d+ |.* saved \[|I: Validating ")


class MirrorLostError(Exception):
    """The mirror has not answered for too long."""


class MirrorPatience:
    """Is told each line that a build prints, with the time in seconds. Of one run of a program."""

    def __init__(self) -> None:
        self._in_vain = 0.0
        self._arrived = 0
        self._last: float | None = None

    def lost(self, line: str, now: float) -> bool:
        """Whether the mirror is lost, now that this line was printed."""
        # A program may have computed for minutes before it asked.
        waited = min(now - self._last, _LONGEST_TRY) if self._last is not None else 0.0
        self._last = now
        if _IN_VAIN.match(line):
            self._arrived = 0
            self._in_vain += waited
        elif _ARRIVED.match(line):
            # Of the latest file only the beginning may have arrived; of the one before, all.
            self._arrived += 1
            if self._arrived > 1:
                self._in_vain = 0.0
        return self._in_vain >= SECONDS
