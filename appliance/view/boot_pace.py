"""A boot beside the PC's usual one: each stage with its time, its bytes, and the median of earlier boots. PURE.

A stage's time is counted from the beginning of the boot. What is usual comes from the boots before, as far as the
registry keeps them; those that never came to a stage say nothing about it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from appliance.journal.timeline import ORDER, Stage, stage_of_file
from appliance.view.boots import BootView

SLOW_FACTOR, SLOW_SECONDS = 2.0, 10.0
"""A step is slow if it takes that many times as long as usual, and longer by that many seconds at least."""

_ENDS = (Stage.FAILED, Stage.OFF)


@dataclass(frozen=True, slots=True)
class StagePace:
    """A stage of a boot. `at`: seconds since the boot began, or None if it has not come so far; `took`: seconds since
    the stage before. `usual`: the median of `at` in earlier boots, or None. `size`: bytes that it loaded on the way to
    this stage. `slow`: this step took much longer than usual."""

    stage: Stage
    at: float | None
    took: float | None
    usual: float | None
    size: int
    slow: bool


@dataclass(frozen=True, slots=True)
class BootPace:
    """The stages of a boot in order, those that it has reached and those that it usually comes to. `longest`: the
    latest moment of both in seconds, for a scale; `boots`: how many earlier ones say what is usual."""

    stages: tuple[StagePace, ...]
    longest: float
    boots: int


def pace(boot: BootView, earlier: Sequence[BootView]) -> BootPace:
    """This boot beside the `earlier` ones of the same PC."""
    alike = [each for each in earlier if each.entry == boot.entry]
    usual = {stage: median(times) for stage in ORDER if (times := _times(alike, stage)) and stage not in _ENDS}
    reached = {each.stage: each.at for each in boot.stages}
    loaded = {stage: sum(t.sent for t in boot.transfers if _loads_for(t.path) is stage) for stage in ORDER}
    stages: list[StagePace] = []
    before = usual_before = 0.0
    for stage in ORDER:
        at, typical = reached.get(stage), usual.get(stage)
        if at is None and typical is None and not loaded[stage]:
            continue
        took = None if at is None else max(at - before, 0.0)
        step = None if typical is None else max(typical - usual_before, 0.0)
        slow = took is not None and step is not None and took > max(SLOW_FACTOR * step, step + SLOW_SECONDS)
        stages.append(StagePace(stage, at, took, typical, loaded[stage], slow))
        before = before if at is None else at
        usual_before = usual_before if typical is None else typical
    return BootPace(tuple(stages), max((*reached.values(), *usual.values()), default=0.0), len(alike))


def _loads_for(path: str) -> Stage:
    # It comes between the kernel and the ramdisk, and is no stage of its own.
    return Stage.INITRD if path.endswith("/microcode.img") else stage_of_file(path)


def _times(boots: Sequence[BootView], stage: Stage) -> list[float]:
    return [each.at for boot in boots for each in boot.stages if each.stage is stage]
