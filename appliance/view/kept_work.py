"""The work of forgotten PCs that is kept for some days, in words. PURE."""

from collections.abc import Sequence
from dataclasses import dataclass

from appliance.exports.forgotten_work import SOON, ForgottenWork
from services.spans import span

LIST = "sudo netboot-appliance clients kept"
"""Lists it."""
GIVE_BACK = "to give it back: sudo netboot-appliance clients restore MAC"


@dataclass(frozen=True, slots=True)
class KeptWorkView:
    """Of how many PCs work is kept, of how many it is deleted soon, and when the first of it is, in seconds since the
    epoch. `words` are one line."""

    pcs: int
    soon: int
    first: int
    words: str


def kept_work_view(kept: Sequence[ForgottenWork], now: float) -> KeptWorkView | None:
    """What is kept at `now`, in seconds since the epoch, that which is deleted first at the front; None if nothing
    is."""
    if not kept:
        return None
    pcs, soon = _pcs(kept), _pcs(deleted_soon(kept, now))
    words = f"the work of {pcs:,} forgotten PC{'' if pcs == 1 else 's'} is kept"
    if soon:
        left = kept[0].until - now
        words += f"; that of {soon:,} is deleted soon, the first {f'in {span(left)}' if left > 0 else 'today'}"
    return KeptWorkView(pcs, soon, kept[0].until, words)


def deleted_soon(kept: Sequence[ForgottenWork], now: float) -> Sequence[ForgottenWork]:
    """That which is deleted within two days of `now`, in seconds since the epoch."""
    return [each for each in kept if each.until - now <= SOON]


def _pcs(kept: Sequence[ForgottenWork]) -> int:
    return len({each.mac for each in kept})
