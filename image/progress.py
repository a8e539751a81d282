"""What an image build reports while it runs, and how it reports a failure."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

STAGES = ("checks", "config", "bootstrap", "packages", "extras", "system", "files", "publish")


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a build is: stage `number` of len(STAGES), what it is doing now, seconds since the build began, and about
    how many are left by what earlier builds took, if that is known. `done` of `total` bytes are fetched or copied; None
    while nothing is, and `total` also where nobody knows. `image`: which one, where several are built."""

    stage: str
    number: int
    step: str
    elapsed: float
    left: float | None = None
    done: int | None = None
    total: int | None = None
    image: str = ""


class Stages:
    """Tells `report` where a build is. `current` is the stage, at first the checks. `hear` gets each line that a
    program of the build prints. `took` is how many seconds each stage took, when it was last worked at."""

    def __init__(self, report: Callable[[Progress], None], hear: Callable[[str], None]) -> None:
        self.hear = hear
        self.took: dict[str, float] = {}
        self._report = report
        self._began = self._entered = time.monotonic()
        self._works = False
        self._step = ""
        self.current = STAGES[0]

    def begin(self, stage: str, step: str, *, kept: bool = False) -> None:
        """Enter a stage with its first step. `kept`: there is nothing to do, because the result is there."""
        self.end()
        self.current, self._entered, self._works = stage, time.monotonic(), not kept
        self.tell(step)

    def end(self) -> None:
        """Note how long the current stage took."""
        if self._works:
            self.took[self.current] = time.monotonic() - self._entered

    def tell(self, step: str, done: int | None = None, total: int | None = None) -> None:
        """Report a step of the current stage, and how many bytes of it are done."""
        self._step = step
        number = STAGES.index(self.current) + 1
        elapsed = time.monotonic() - self._began
        self._report(Progress(self.current, number, step, elapsed, self._left(), done, total))

    def tell_bytes(self, done: int, total: int | None) -> None:
        """Report how many bytes of the same step are done now."""
        self.tell(self._step, done, total)

    def _left(self) -> float | None:
        # Once there is something to do, there is in all stages that follow.
        if not self._works or self.current not in self.took:
            return None
        here = max(0.0, self.took[self.current] - (time.monotonic() - self._entered))
        return here + sum(self.took.get(stage, 0.0) for stage in STAGES[STAGES.index(self.current) + 1 :])


class BuildError(Exception):
    """A build ended without a release; nothing that is served has changed.

    `hint` says what to do. `log`, `tail` (the last lines of output) and `paste` (a command to repeat by hand) are empty
    until a program has run.
    """

    def __init__(
        self, stage: str, message: str, hint: str, *, log: Path | None = None, tail: Sequence[str] = (), paste: str = ""
    ) -> None:
        super().__init__(message)
        self.stage = stage
        self.hint = hint
        self.log = log
        self.tail = tuple(tail)
        self.paste = paste
