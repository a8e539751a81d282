"""The latest build of an image as it has written of itself (appliance/images/build_unit.py): for the page, the API and
`image log`. PURE.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from appliance.images.build_record import BuildRecord, OutputLine, harmless
from services.foreign_text import printable

_NO_RESULT = "it ended without a result"
_NO_RESULT_HINT = "see: journalctl -u netboot-appliance-image -n 30"


@dataclass(frozen=True, slots=True)
class BuildView:
    """A build. `running`: it is at work. It has come to `stage`, `number` of `stages`, and does `step`, which names the
    image where several are built; 0 and empty before the first. `began`: when, in seconds since the epoch, or None;
    `elapsed`: seconds until now, or until its end; `left`: about how many are left while it runs, by what earlier
    builds took, or None; `done` of `total` bytes are fetched or copied: None where that is not known, and after its
    end. `lines`: the latest that its programs printed. Its end is the `release` (of several images all, with commas),
    or `error` with `hint`; all empty while it runs. `run`: which run of the unit it is."""

    run: str
    running: bool
    stage: str
    number: int
    stages: int
    step: str
    began: float | None
    elapsed: float
    lines: Sequence[OutputLine]
    release: str = ""
    error: str = ""
    hint: str = ""
    left: float | None = None
    done: int | None = None
    total: int | None = None


def build_view(found: BuildRecord, now: float) -> BuildView | None:
    """The build; None if there was none. What cannot be read is left out."""
    stages, stage, number, step, at = 0, "", 0, "", 0.0
    began: float | None = None
    ended: float | None = None
    left: float | None = None
    end: dict[str, Any] | None = None
    amount: dict[str, Any] = {}
    for line in found.progress:
        try:
            match json.loads(line):
                case {"began": int() | float() as then, "stages": int() as stages}:
                    began = float(then)
                case {"progress": {"elapsed": int() | float() as seconds, **rest}}:
                    at, left = float(seconds), _left(rest)
                    stage, number, step = _place(rest)
                    amount = {name: _bytes(rest, name) for name in ("done", "total")}
                case {"releases": [*several], **rest} if several and all(isinstance(each, str) for each in several):
                    end, ended = {"release": printable(", ".join(several), 200)}, _moment(rest)
                case {"error": {"message": str() as message, "hint": str() as hint}, **rest}:
                    end, ended = {"error": harmless(message), "hint": printable(hint)}, _moment(rest)
        except (ValueError, RecursionError):
            continue
    if not (found.busy or found.progress):
        return None
    running = found.busy and end is None
    if end is None and not running:
        end = {"error": _NO_RESULT, "hint": _NO_RESULT_HINT}
    until = now if running else ended
    elapsed = max(0.0, until - began) if until and began else at
    return BuildView(
        found.run,
        running,
        printable(stage, 40),
        number,
        stages,
        harmless(step),
        began,
        elapsed,
        found.output,
        left=max(0.0, left - (elapsed - at)) if running and left is not None else None,
        **(end or {}),
        **(amount if running else {}),
    )


def _place(progress: Mapping[Any, object]) -> tuple[str, int, str]:
    match progress:
        case {"stage": str() as stage, "number": int() as number, "step": str() as step, **rest}:
            image = rest.get("image")
            return stage, number, f"{image}: {step}" if image and isinstance(image, str) else step
    return "", 0, ""


def _left(progress: Mapping[Any, object]) -> float | None:
    """As it was when that was written."""
    found = progress.get("left")
    return float(found) if isinstance(found, int | float) and math.isfinite(found) else None


def _bytes(progress: Mapping[Any, object], name: str) -> int | None:
    found = progress.get(name)
    return found if isinstance(found, int) and found >= 0 else None


def _moment(line: Mapping[Any, object]) -> float | None:
    found = line.get("ended")
    return float(found) if isinstance(found, int | float) else None
