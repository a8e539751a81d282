"""Why a boot does not come to computing: from how far it came, and what the box saw of it. PURE.

The rules are asked in order, and the first that knows something is right. What the live system itself reports is read
by reports.py.
"""

from collections.abc import Callable

from appliance.diagnosis import loaders, roots
from appliance.diagnosis.fault import Diagnosis, Seen
from appliance.diagnosis.signs import silent, times
from appliance.journal.timeline import ELSEWHERE, Boot, Stage

LOOP_TIMES = 4
LOOP_SPACING = 900.0
"""So many power-ons in a row that came to nothing, at most so many seconds apart, are a loop and no person."""


def of_boot(boot: Boot, seen: Seen, now: float) -> Diagnosis | None:
    """Why this boot does not get on; None if it does, or if it is too early to say."""
    if boot.entry in ELSEWHERE or boot.stage in (Stage.COMPUTING, Stage.OFF):
        return None
    return next((found for rule in _RULES if (found := rule(boot, seen, now))), None)


def _claimed(boot: Boot, seen: Seen, now: float) -> Diagnosis | None:
    if not seen.claims or not silent(boot, now):
        return None
    cure = "find the other machine by its MAC address in the switch, and give it another address"
    return Diagnosis("another machine uses its address", cure, seen.claims[0])


def _loop(boot: Boot, _: Seen, now: float) -> Diagnosis | None:
    before = boot.returned
    if before is None or before.times < LOOP_TIMES or boot.secrets_spent:
        return None
    if boot.started - before.since > before.times * LOOP_SPACING:
        return None
    return Diagnosis(
        "restarts again and again, and its live system never comes up",
        "look at its screen while it starts; until it is repaired, let it start from its disk: netboot-appliance allow"
        " add MAC --default local",
        f"{times(boot)}, the last after {before.stage or 'nothing'}",
    )


def _stalled(boot: Boot, _: Seen, now: float) -> Diagnosis | None:
    """What is left: it stopped at a stage, and nothing says why."""
    if not boot.stalled(now):
        return None
    cause, cure = _STOPPED_AT.get(boot.stage, ("asked once and was not heard again", "switch it on again"))
    return Diagnosis(cause, cure)


_STOPPED_AT: dict[Stage | None, tuple[str, str]] = {
    Stage.SCRIPT: (
        "took its boot script and did not ask for the kernel",
        "look at its screen; netboot-appliance doctor probe MAC fetches the same files",
    ),
    Stage.KERNEL: ("took the kernel and did not ask for the ramdisk", "look at its screen, and switch it on again"),
    Stage.ROOT_MOUNTED: (
        "mounted its root, and its live system never came up",
        "look at its screen; too little memory, or a damaged image: netboot-appliance doctor checks the image",
    ),
    Stage.REPORTED: (
        "its live system is up, but BOINC is not attached to the project",
        "look whether the project can be reached and takes the key: netboot-appliance doctor, and the PC's BOINC"
        " messages",
    ),
    Stage.ATTACHED: (
        "BOINC is attached, but no task has begun",
        "look at the project: has it work for this kind of PC? The account's preferences may forbid it",
    ),
}

_RULES: tuple[Callable[[Boot, Seen, float], Diagnosis | None], ...] = (
    roots.another_card,
    roots.token_refused,
    roots.wrong_network,
    loaders.secure_boot_grub,
    loaders.secure_boot,
    loaders.menu,
    loaders.stopped_on_the_way,
    loaders.loader_stopped,
    roots.root_not_fetched,
    roots.root_refused,
    roots.never_came_back,
    _claimed,
    _loop,
    loaders.no_second_address,
    loaders.not_offered,
    loaders.not_taken,
    _stalled,
)
