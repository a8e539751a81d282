"""A build of the image as its lines tell it (appliance/images/build_unit.py), for a page. PURE."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from services.foreign_text import printable

MOST_STEPS = 200


@dataclass(frozen=True, slots=True)
class BuildStep:
    """What a build did, `elapsed` seconds after it began."""

    elapsed: float
    stage: str
    step: str


@dataclass(frozen=True, slots=True)
class BuildView:
    """The latest build. `running`: it is at work. `steps`: the latest ones. Its end: the `release`, or `error` with
    `hint` and the last lines of output; all empty while it runs."""

    running: bool
    steps: Sequence[BuildStep]
    release: str = ""
    error: str = ""
    hint: str = ""
    tail: Sequence[str] = ()


def build_view(running: bool, lines: Iterable[str]) -> BuildView | None:
    """The build that wrote these lines; None if there was none. What cannot be read is left out."""
    steps: list[BuildStep] = []
    end: dict[str, object] = {}
    for line in lines:
        try:
            match json.loads(line):
                case {"progress": {"elapsed": int() | float() as at, "stage": str() as stage, "step": str() as step}}:
                    steps.append(BuildStep(float(at), printable(stage, 40), printable(step, 300)))
                case {"release": str() as release}:
                    end = {"release": printable(release, 60)}
                case {"error": {"message": str() as message, "hint": str() as hint, "tail": list() as tail}}:
                    shown = tuple(printable(str(each), 300) for each in tail[-20:])
                    end = {"error": printable(message), "hint": printable(hint), "tail": shown}
        except (ValueError, RecursionError):
            continue
    if not (running or steps or end):
        return None
    return BuildView(running, tuple(steps[-MOST_STEPS:]), **({} if running else end))  # type: ignore[arg-type]
