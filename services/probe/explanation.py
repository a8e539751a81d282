"""A boot attempt explained: what was said, what the client does next, and how it ends. PURE.

Takes the packets of one client in order, from a probe or a capture.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from services.ethernet import MacAddress
from services.foreign_text import printable
from services.probe.message import Packet
from services.probe.timeline import Step, Timeline
from services.probe.verdict import BoxFacts, Verdict, judge


@dataclass(frozen=True, slots=True)
class Explanation:
    """The timeline of one client, and its verdict."""

    mac: MacAddress
    steps: tuple[Step, ...]
    verdict: Verdict


def explain(mac: MacAddress, packets: Sequence[Packet], box: BoxFacts | None = None) -> Explanation:
    """Explain the packets of one client, which are in order of time; `box` is what is known of the box on this host."""
    timeline = Timeline(packets[0].at if packets else 0.0)
    for packet in packets:
        timeline.take(packet)
    timeline.finish()
    verdict = judge(mac, timeline.attempts, box)
    verdict = replace(verdict, words=printable(verdict.words), hint=printable(verdict.hint))
    return Explanation(mac, tuple(sorted(timeline.steps, key=lambda step: step.at)), verdict)


def lines(explanation: Explanation) -> list[str]:
    """The explanation as text for a terminal."""
    shown = [f"{explanation.mac}"]
    for step in explanation.steps:
        shown.append(f"{step.at:+9.3f} s  {step.direction} {step.words}")
        if step.then:
            shown.append(f"{'':13}-> {step.then}")
    verdict = explanation.verdict
    shown.append(f"verdict: {verdict.outcome}: {verdict.words}")
    if verdict.hint:
        shown.append(f"hint: {verdict.hint}")
    return shown
