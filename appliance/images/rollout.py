"""A new release and the PCs that try it: which of them get it, and when it is proven or has failed. PURE.

A canary is a release that some PCs boot while all others keep the active one. Its time begins with the first PC that
boots it: until then nothing can be said. It is promoted as soon as all of its PCs that the box knows are proven, or at
the end of its time, if enough of those are that booted it. It is rolled back as soon as too many have failed, or then.
`current` changes only with a promotion, so a canary that is rolled back leaves no trace on the disk.

A PC that failed twice with a release that it should boot goes back to the one before by itself (`goes_back`).

Times are in seconds since the epoch, and arguments.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from appliance.journal.timeline import ELSEWHERE, STALLED_AFTER, Boot, Stage
from services.ethernet import MacAddress, MacRange
from services.spans import span

FAILURES = 2
"""So many boots with a release must fail in a row: one may have been switched off in the middle."""

GRACE = 900.0
"""Seconds that a PC has, which booted the canary for the first time just before the end of its time."""

GAP = 120.0
"""A pause between two looks that is longer does not count as the canary's time: nobody could boot, or nobody looked."""

_NAMED = 3
_OUTSIDE = ("state director", "BOINC files")
"""How failures begin that are not the release's: NFS, the disk, the way in which the PC was started."""


class Ending(StrEnum):
    """How a canary ended. OPEN: it has not."""

    OPEN = ""
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled back"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Proof:
    """What proves a release: `share` per cent of the PCs that booted it have come to computing within `seconds`, and
    have returned `tasks` tasks without an error since."""

    seconds: float
    share: int = 100
    tasks: int = 0


@dataclass(frozen=True, slots=True)
class Canary:
    """A release on trial. `base` is the release that was active when it began, `chosen` says in words who gets it, and
    `ranges` in numbers. `after` is the number of the last boot before it. `looked` is when it was judged last, `until`
    when its time ends; None: no PC has booted it yet. `mac` is the PC that decided its end, with the `reason`."""

    id: int
    release: str
    base: str
    chosen: str
    ranges: tuple[MacRange, ...]
    proof: Proof
    began: float
    after: int
    looked: float
    until: float | None = None
    ended: float | None = None
    verdict: Ending = Ending.OPEN
    reason: str = ""
    mac: MacAddress | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """A PC that booted the canary, with all its boots of it, oldest first. `computes`: its heartbeat says so; `tasks`:
    how many it has returned since; `why` it does not compute, in words. `over`: it has been started again since the
    last of them, with another release."""

    mac: MacAddress
    name: str
    boots: tuple[Boot, ...]
    computes: bool = False
    tasks: int = 0
    why: str = ""
    over: bool = False


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a canary is judged beside. `active` is the id of the active release. `broken` says what is wrong with the
    canary's files. `known` are those of its PCs that are allowed and have booted before. `allowed`: whether any of its
    ranges is. `trouble` is what is wrong with the box itself: then a failure says nothing about the release."""

    active: str | None
    broken: str = ""
    known: Collection[MacAddress] = ()
    allowed: bool = True
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Tally:
    """How far a canary is: how many PCs booted it, are proven, and failed."""

    booted: tuple[MacAddress, ...] = ()
    proven: tuple[MacAddress, ...] = ()
    failed: tuple[MacAddress, ...] = ()


@dataclass(frozen=True, slots=True)
class Fallback:
    """A PC that boots `release` since it failed with the release `failed`, at `at`, and `why` in words."""

    mac: MacAddress
    failed: str
    release: str
    at: float
    why: str


def release_of(boot: Boot) -> str:
    """The release whose kernel the boot took, or empty. Another one may have been chosen after its DISCOVER, or from a
    menu: the files that it fetched tell."""
    for transfer in reversed(boot.transfers):
        parts = transfer.path.split("/")
        if len(parts) > 2 and parts[-3] == "image":
            return parts[-2]
    return boot.release if boot.has_reached(Stage.KERNEL) else ""


def failure(boot: Boot, now: float, *, ended: bool) -> str:
    """Why the live system of this boot did not come up, in words; empty if it did, or may still, or if its release is
    not to blame. `ended`: the PC has been started again since."""
    if boot.entry in ELSEWHERE or not release_of(boot) or boot.stage is Stage.OFF:
        return ""
    if boot.failure:
        return "" if boot.failure.lower().startswith(tuple(map(str.lower, _OUTSIDE))) else boot.failure
    if boot.secrets_spent or boot.has_reached(Stage.COMPUTING):
        return ""
    if not ended and now - boot.last_event <= STALLED_AFTER:
        return ""
    return f"its live system did not come up: it came as far as {boot.stage}"


def _failed(trial: Trial, now: float) -> str:
    """Why this PC has failed with the canary for good, or empty. A boot that is under way says nothing yet."""
    latest = trial.boots[-1]
    came_up = latest.secrets_spent or latest.has_reached(Stage.COMPUTING)
    under_way = not trial.over and not came_up and not failure(latest, now, ended=False)
    last = (trial.boots[:-1] if under_way else trial.boots)[-FAILURES:]
    found = [failure(boot, now, ended=trial.over or boot is not latest) for boot in last]
    return found[-1] if len(last) == FAILURES and all(found) and not _proven(trial, 0) else ""


def _proven(trial: Trial, tasks: int) -> bool:
    computed = trial.computes or any(boot.has_reached(Stage.COMPUTING) for boot in trial.boots)
    return computed and trial.tasks >= tasks


def tally(canary: Canary, trials: Sequence[Trial], now: float) -> Tally:
    """How far the canary is."""
    return Tally(
        tuple(trial.mac for trial in trials),
        tuple(trial.mac for trial in trials if _proven(trial, canary.proof.tasks)),
        tuple(trial.mac for trial in trials if _failed(trial, now)),
    )


def judge(canary: Canary, trials: Sequence[Trial], seen: Circumstances, now: float) -> Canary:
    """The canary after a look at `now`; it has ended if its `verdict` is not open. `trials` are the PCs that booted it,
    those that may not boot any more left out."""
    canary = _carried_on(canary, seen, now)
    if seen.active == canary.release:
        return end(canary, Ending.PROMOTED, "it is active already", now)
    if seen.active != canary.base:
        return end(canary, Ending.CANCELLED, f"another release was activated: {seen.active or 'none'}", now)
    if seen.broken:
        return end(canary, Ending.ROLLED_BACK, seen.broken, now)
    if not seen.allowed:
        return end(canary, Ending.CANCELLED, "none of its PCs may boot any more", now)
    if not trials:
        return canary
    if canary.until is None:
        canary = replace(canary, until=min(trial.boots[0].started for trial in trials) + canary.proof.seconds)
    return canary if seen.trouble else _weigh(canary, trials, seen.known, now)


def _weigh(canary: Canary, trials: Sequence[Trial], known: Collection[MacAddress], now: float) -> Canary:
    found = tally(canary, trials, now)
    booted, share = len(found.booted), canary.proof.share
    everybody = {*known, *found.booted}
    why = {trial.mac: _failed(trial, now) or trial.why or "does not compute yet" for trial in trials}
    names = {trial.mac: trial.name for trial in trials}
    best = len(everybody) - len(found.failed)
    if 100 * best < share * len(everybody):
        reason = f"{_many(len(found.failed))} failed with it: {_named(found.failed, names, why)}"
        return end(canary, Ending.ROLLED_BACK, reason, now, found.failed[0])
    done = f"{len(found.proven)} of {_many(booted)} that booted it {_proof_words(canary.proof)}"
    if everybody == set(found.proven):
        return end(canary, Ending.PROMOTED, done, now, found.proven[-1])
    assert canary.until is not None
    until = canary.until
    young = any(until - GRACE < trial.boots[0].started <= until and trial.mac not in found.proven for trial in trials)
    if now < until + (GRACE if young else 0.0):
        return canary
    if 100 * len(found.proven) >= share * booted:
        return end(canary, Ending.PROMOTED, done, now, found.proven[-1])
    late = [mac for mac in found.booted if mac not in found.proven]
    reason = f"only {done} within {span(canary.proof.seconds)}; {_named(late, names, why)}"
    return end(canary, Ending.ROLLED_BACK, reason, now, late[0])


def end(canary: Canary, verdict: Ending, reason: str, now: float, mac: MacAddress | None = None) -> Canary:
    """The canary, ended at `now`."""
    return replace(canary, verdict=verdict, reason=reason, ended=now, mac=mac)


def _carried_on(canary: Canary, seen: Circumstances, now: float) -> Canary:
    """Time in which the box was off, its clock was set, or it was in trouble itself is not the canary's."""
    step = now - canary.looked
    lost = step if seen.trouble or not 0 <= step <= GAP else 0.0
    return replace(canary, looked=now, until=canary.until + lost if canary.until is not None else None)


def goes_back(boots: Sequence[Boot], wanted: str, before: str, now: float) -> str:
    """Why a PC that is about to boot `wanted` should boot `before` instead, or empty. `boots` are its last ones, oldest
    first; the last of them is the one that begins. It should if its last boots failed with `wanted`, and an earlier one
    computed with `before`."""
    earlier = boots[:-1]
    computed = any(release_of(boot) == before and boot.has_reached(Stage.COMPUTING) for boot in earlier)
    return has_failed(earlier, wanted, now) if computed and before != wanted else ""


def has_failed(boots: Sequence[Boot], release: str, now: float) -> str:
    """Why the last FAILURES of these boots, which are all over, failed with this release; empty if they did not."""
    last = boots[-FAILURES:]
    if len(last) < FAILURES or any(release_of(boot) != release for boot in last):
        return ""
    why = [failure(boot, now, ended=True) for boot in last]
    return why[-1] if all(why) else ""


def _named(macs: Sequence[MacAddress], names: dict[MacAddress, str], why: dict[MacAddress, str]) -> str:
    shown = "; ".join(f"{names[mac]}: {why[mac]}" for mac in macs[:_NAMED])
    return f"{shown}; and {len(macs) - _NAMED} more" if len(macs) > _NAMED else shown


def _proof_words(proof: Proof) -> str:
    returned = f", and returned {proof.tasks} task{'' if proof.tasks == 1 else 's'}" if proof.tasks else ""
    return f"came to computing{returned}"


def _many(count: int) -> str:
    return f"{count:,} PC{'' if count == 1 else 's'}"
