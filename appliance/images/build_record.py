"""What a build tells everybody of itself: the values, and a line of its output as text that is safe to show. PURE."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from services.foreign_text import printable

LONGEST_LINE = 300
"""Characters of a line of output."""

_METER = re.compile(r"\(Reading database \.\.\.(?: \d+%)?$")
_COLOUR = re.compile(r"\x1b\[[\d;]*m")
_PASSWORD = re.compile(r"(?<=://)[^\s/'\"]+@")


@dataclass(frozen=True, slots=True)
class OutputLine:
    """A line that a program of the build has printed, and its number, from 1."""

    number: int
    text: str


@dataclass(frozen=True, slots=True)
class BuildRecord:
    """What the latest run of the unit has written: `progress`, one JSON object on each line, the first and the latest
    ones, and `output`, the latest lines that its programs printed. `run` is which run it is, empty if there was none;
    `busy`: it is at work."""

    run: str = ""
    busy: bool = False
    progress: Sequence[str] = ()
    output: Sequence[OutputLine] = ()


def harmless(text: str) -> str:
    """A line of a program as everybody may see it: without colours, and without the passwords of mirrors and
    proxies."""
    return printable(_PASSWORD.sub("…@", _COLOUR.sub("", text.rstrip().expandtabs())), LONGEST_LINE)


def is_meter(text: str) -> bool:
    """Whether a line is one of many that a program writes one over the other."""
    return _METER.match(text) is not None


def encode(line: OutputLine) -> str:
    """A line of output as the file has it."""
    return json.dumps([line.number, line.text], ensure_ascii=False)


def decode(text: str) -> OutputLine:
    """Read what `encode` has written; raises ValueError, RecursionError."""
    match json.loads(text):
        case [int() as number, str() as said]:
            return OutputLine(number, printable(said, LONGEST_LINE))
    raise ValueError("it is no line of output")
