"""A canary for people and scripts: who tries which release, how far that is, and until when. PURE."""

from collections.abc import Sequence
from dataclasses import dataclass

from appliance.images.rollout import Canary, Ending, Fallback, Trial, tally
from services.ethernet import MacAddress
from services.foreign_text import printable
from services.spans import span

MOST_PCS = 200

_SHOWN = 7 * 86400.0


@dataclass(frozen=True, slots=True)
class CanaryPcView:
    """A PC that booted the canary. `state` is "proven", "failed" or "trying"; `why` it does not compute, in words."""

    mac: str
    name: str
    state: str
    boots: int
    why: str


@dataclass(frozen=True, slots=True)
class CanaryView:
    """A canary. `state`: "waiting" for its first PC, "on trial", or how it ended, for this `reason`. `chosen` says who
    gets it. Times are in seconds since the epoch; `until` is None before the first PC has booted it. It is proven when
    `share` per cent of the PCs that booted it compute within `seconds`, each having returned `tasks` tasks. `booted`,
    `proven` and `failed` count PCs; `pcs` has some of them. `judged`: the process that judges it runs."""

    release: str
    base: str
    chosen: str
    state: str
    reason: str
    began: float
    until: float | None
    ended: float | None
    seconds: float
    share: int
    tasks: int
    booted: int
    proven: int
    failed: int
    judged: bool
    pcs: tuple[CanaryPcView, ...]

    def words(self, now: float) -> str:
        """One line of it, without the release."""
        if self.ended is not None:
            return f"{self.state} {span(now - self.ended)} ago: {self.reason}"
        far = f"{self.booted} booted it, {self.proven} proven, {self.failed} failed"
        left = "its time has not begun" if self.until is None else f"{span(self.until - now)} left"
        more = f"; {self.reason}" if self.reason else ""
        nobody = "" if self.judged else "; nobody judges it: netboot-appliance control does not run"
        return f"for {self.chosen}: {far}, {left}{more}{nobody}"


@dataclass(frozen=True, slots=True)
class FallbackView:
    """A PC that boots `release` since its boots with `failed` failed, at a moment in seconds since the epoch."""

    mac: str
    failed: str
    release: str
    at: float
    why: str

    @property
    def words(self) -> str:
        """One line of it, without the PC."""
        return f"boots {self.release} since it failed twice with {self.failed}: {self.why}"


@dataclass(frozen=True, slots=True)
class RolloutState:
    """The canary that is open or ended last, and the PCs that went back to the release before."""

    canary: CanaryView | None = None
    gone_back: tuple[FallbackView, ...] = ()

    def canary_words(self, now: float) -> str:
        """The canary in one line, if it is open or ended within the last week; else empty."""
        canary = self.canary
        if canary is None or (canary.ended is not None and now - canary.ended > _SHOWN):
            return ""
        return f"{canary.release} {canary.words(now)}"


def canary_view(canary: Canary, trials: Sequence[Trial], now: float, *, judged: bool) -> CanaryView:
    """The canary with the PCs that booted it."""
    found = tally(canary, trials, now)
    state = "waiting" if canary.until is None else "on trial"
    return CanaryView(
        release=canary.release,
        base=canary.base,
        chosen=printable(canary.chosen),
        state=str(canary.verdict) if canary.verdict is not Ending.OPEN else state,
        reason=printable(canary.reason),
        began=canary.began,
        until=canary.until,
        ended=canary.ended,
        seconds=canary.proof.seconds,
        share=canary.proof.share,
        tasks=canary.proof.tasks,
        booted=len(found.booted),
        proven=len(found.proven),
        failed=len(found.failed),
        judged=judged,
        pcs=tuple(_pc(trial, found.proven, found.failed) for trial in trials[:MOST_PCS]),
    )


def _pc(trial: Trial, proven: Sequence[MacAddress], failed: Sequence[MacAddress]) -> CanaryPcView:
    state = "proven" if trial.mac in proven else "failed" if trial.mac in failed else "trying"
    why = "" if state == "proven" else printable(trial.why)
    return CanaryPcView(str(trial.mac), printable(trial.name), state, len(trial.boots), why)


def fallback_view(fallback: Fallback) -> FallbackView:
    """A PC that went back."""
    return FallbackView(str(fallback.mac), fallback.failed, fallback.release, fallback.at, printable(fallback.why))
