"""What `image update` does next with a release: the rules by which a new one comes into force. PURE.

A release that has been given up is not tried again by itself: one whose canary was rolled back or that somebody has
cancelled, or that somebody has replaced with an earlier one (`image rollback`). The next update of Debian's makes
another release.
"""

from collections.abc import Collection
from enum import StrEnum

from appliance.images.notes import BootTest
from appliance.images.rollout import Canary, Ending

_BY_HAND = "by hand"
"""How the reason of a canary begins that somebody has cancelled (`image canary cancel`)."""

_PATIENCE = 86400.0
"""Seconds for which the release of another image waits for a canary that no PC has booted yet."""


class RenewalStage(StrEnum):
    """The stages of `image update`, in their order. ACTIVATE: for all PCs at once, without a canary."""

    CHECK = "check"
    BUILD = "build"
    TEST = "test"
    CANARY = "canary"
    ACTIVATE = "activate"


def given_up(ident: str, active: str | None, previous: str | None, canaries: Collection[Canary]) -> str:
    """Why this release is not to be tried again, in words; empty if it may be. `canaries` are those known, the open one
    included."""
    rolled_back = next(
        (each for each in canaries if each.release == ident and each.verdict is Ending.ROLLED_BACK), None
    )
    if rolled_back:
        return f"its canary was rolled back: {rolled_back.reason}"
    if any(
        each.release == ident and each.verdict is Ending.CANCELLED and each.reason.startswith(_BY_HAND)
        for each in canaries
    ):
        return "somebody cancelled its canary"
    if ident == previous and active is not None and active < ident:
        return f"somebody went back from it to {active}"
    return ""


def needs_test(wanted: bool, last: BootTest | None) -> bool:
    """Whether a release is to be tested: one that has passed is not tested again, one that failed is."""
    return wanted and not (last and last.passed)


def stands_aside(canary: Canary | None, ident: str, now: float, *, same_image: bool) -> bool:
    """Whether an open canary gives way to this release: no PC has booted it yet, and it is an earlier one of the same
    image, or has waited for a day. A canary that no PC boots waits for ever, and must not keep updates from others."""
    if canary is None or canary.until is not None:
        return False
    return canary.release < ident if same_image else now - canary.began > _PATIENCE
