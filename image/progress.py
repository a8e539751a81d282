"""What an image build reports while it runs, and how it reports a failure."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

STAGES = ("checks", "config", "bootstrap", "packages", "extras", "system", "files", "publish")


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a build is: stage `number` of len(STAGES), what it is doing now, seconds since the build began."""

    stage: str
    number: int
    step: str
    elapsed: float


class Stages:
    """Tells `report` where a build is. `current` is the stage, at first the checks. `hear` gets each line that a
    program of the build prints."""

    def __init__(self, report: Callable[[Progress], None], hear: Callable[[str], None]) -> None:
        self.hear = hear
        self._report = report
        self._began = time.monotonic()
        self.current = STAGES[0]

    def begin(self, stage: str, step: str) -> None:
        """Enter a stage with its first step."""
        self.current = stage
        self.tell(step)

    def tell(self, step: str) -> None:
        """Report a step of the current stage."""
        number = STAGES.index(self.current) + 1
        self._report(Progress(self.current, number, step, time.monotonic() - self._began))


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
