"""Which BOINC files the PCs say they have, and how often a running PC may fetch them again. PURE: times are arguments.

A PC that runs fetches its files again after a change of the configuration. One that cannot place them, or a program
that became root there, would do so for ever: each PC has a budget.
"""

from services.ethernet import MacAddress
from services.rate_limit import RateLimit

AT_ONCE = 4
SECONDS_EACH = 600.0
MOST_PCS = 20_000


class Renewals:
    """What each PC said last, by the boot in which it did."""

    def __init__(self) -> None:
        self._placed: dict[MacAddress, tuple[int, str]] = {}
        self._limit: RateLimit[MacAddress] = RateLimit(AT_ONCE, 1 / SECONDS_EACH, MOST_PCS)

    def placed(self, mac: MacAddress, boot: int, tag: str) -> None:
        """The PC has said, with the token of this boot, which files it has."""
        self._placed.pop(mac, None)
        self._placed[mac] = boot, tag
        if len(self._placed) > MOST_PCS:
            del self._placed[next(iter(self._placed))]

    def of(self, mac: MacAddress, boot: int) -> str | None:
        """The tag that it said in this boot, or None."""
        said_in, tag = self._placed.get(mac, (boot, None))
        return tag if said_in == boot else None

    def take(self, mac: MacAddress, now: float) -> bool:
        """Whether the PC may fetch its files again at `now`, in seconds of a clock that never goes back."""
        return self._limit.take(mac, now)
