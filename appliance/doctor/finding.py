"""The doctor's findings as values, and what they add up to. PURE."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Severity(StrEnum):
    """How serious a finding is, the mildest first."""

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"

    @property
    def rank(self) -> int:
        """Its place in the order, from 0."""
        return list(Severity).index(self)


_EXIT_CODES = {Severity.OK: 0, Severity.NOTE: 0, Severity.WARNING: 1, Severity.ERROR: 2}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found, in words for people: what, why it matters, and what to do about it."""

    check: str
    severity: Severity
    what: str
    why: str = ""
    what_to_do: str = ""


def ok(check: str, what: str) -> Finding:
    """As it should be."""
    return Finding(check, Severity.OK, what)


def note(check: str, what: str, why: str = "", what_to_do: str = "") -> Finding:
    """Worth knowing; nothing to fix."""
    return Finding(check, Severity.NOTE, what, why, what_to_do)


def warning(check: str, what: str, why: str, what_to_do: str) -> Finding:
    """The box works, but not for everybody or not for long."""
    return Finding(check, Severity.WARNING, what, why, what_to_do)


def error(check: str, what: str, why: str, what_to_do: str) -> Finding:
    """PCs do not boot, or do not compute."""
    return Finding(check, Severity.ERROR, what, why, what_to_do)


class UnobservableError(Exception):
    """A check cannot see what it has to judge; the message says why."""


def unchecked(
    check: str, why: str, what_to_do: str = "run the doctor as root (sudo), and look at the other findings first"
) -> Finding:
    """The check itself did not work, which says nothing about the box."""
    return Finding(check, Severity.WARNING, f"{check}: could not be checked: {why}", "", what_to_do)


def worst(findings: Iterable[Finding]) -> Severity:
    """The highest severity; OK when there is no finding."""
    return max((finding.severity for finding in findings), key=lambda severity: severity.rank, default=Severity.OK)


def report(findings: Iterable[Finding]) -> dict[str, Any]:
    """All findings as scripts read them: `doctor --json`."""
    listed = list(findings)
    return {"worst": worst(listed), "findings": [asdict(finding) for finding in listed]}


def exit_code(severity: Severity) -> int:
    """0 for ok and note, 1 for warning, 2 for error."""
    return _EXIT_CODES[severity]


def summary(findings: Iterable[Finding]) -> str:
    """One line: how many findings of each severity."""
    listed = list(findings)
    counts = [(severity, sum(f.severity is severity for f in listed)) for severity in reversed(Severity)]
    said = ", ".join(f"{count} {_PLURALS[severity] if count != 1 else severity}" for severity, count in counts if count)
    headline = {
        Severity.ERROR: "PCs will not boot or will not compute",
        Severity.WARNING: "it works, but look at the warnings",
    }.get(worst(listed), "the box is healthy")
    return f"{headline}: {said}" if said else headline


_PLURALS = {Severity.ERROR: "errors", Severity.WARNING: "warnings", Severity.NOTE: "notes", Severity.OK: "ok"}
