"""What the doctor found, for a page: read from `doctor --json`, the worst first. PURE."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields

from services.foreign_text import printable

SEVERITIES = ("error", "warning", "note", "ok")
"""The worst first."""

_MOST = 500


@dataclass(frozen=True, slots=True)
class FoundFault:
    """One thing that the doctor found, in its words. Empty words are not said."""

    check: str
    severity: str
    what: str
    why: str
    what_to_do: str


@dataclass(frozen=True, slots=True)
class HealthReport:
    """One examination, which ended `at` (seconds since the epoch) after `seconds`. `failure`: why there is none."""

    at: float
    seconds: float
    findings: Sequence[FoundFault] = ()
    failure: str = ""

    @property
    def worst(self) -> str:
        """The highest severity; "error" without an examination."""
        return next((each for each in SEVERITIES if self.of(each)), "error")

    def of(self, severity: str) -> list[FoundFault]:
        """The findings of this severity, in the doctor's order."""
        return [each for each in self.findings if each.severity == severity]


def read(text: str, at: float, seconds: float) -> HealthReport:
    """Read what `doctor --json` printed; what cannot be read is a report that failed."""
    try:
        found = json.loads(text)["findings"][:_MOST]
        return HealthReport(at, seconds, [_finding(each) for each in found])
    except (ValueError, KeyError, TypeError, RecursionError):
        said = " ".join(text.split())
        return HealthReport(
            at, seconds, failure=f"the doctor said: {printable(said, 300)}" if said else "it said nothing"
        )


def _finding(plain: dict[str, object]) -> FoundFault:
    words = {field.name: printable(str(plain[field.name])) for field in fields(FoundFault)}
    if words["severity"] not in SEVERITIES:
        raise ValueError("an unknown severity")
    return FoundFault(**words)
