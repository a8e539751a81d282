"""The explanation of a PC's network boot as scripts see it: `doctor probe --json` and `doctor pcap --json`. PURE."""

from dataclasses import dataclass

from services.probe.explanation import Explanation


@dataclass(frozen=True, slots=True)
class StepView:
    """One line of the conversation, in seconds since its first packet; `direction` as in services/probe/explanation."""

    at: float
    direction: str
    text: str
    next: str


@dataclass(frozen=True, slots=True)
class VerdictView:
    """How the boot ends, and what to do about it."""

    outcome: str
    text: str
    hint: str


@dataclass(frozen=True, slots=True)
class ExplanationView:
    """The conversation of one PC and its end."""

    mac: str
    steps: tuple[StepView, ...]
    verdict: VerdictView


def explanation_view(explanation: Explanation) -> ExplanationView:
    """The explanation in plain values."""
    verdict = explanation.verdict
    return ExplanationView(
        mac=str(explanation.mac),
        steps=tuple(StepView(round(s.at, 6), s.direction, s.words, s.then) for s in explanation.steps),
        verdict=VerdictView(verdict.outcome.value, verdict.words, verdict.hint),
    )
