"""A PC as the fleet keeps it, and which of them a person asked for. PURE."""

from dataclasses import dataclass

from appliance.allowlist import Entry
from appliance.diagnosis.fault import Diagnosis
from appliance.heartbeats.states import Kind, PcState
from appliance.view.clients import ClientView
from services.boinc.condition import Condition


@dataclass(frozen=True, slots=True)
class PcFacts:
    """What a row of the room shows, and little else: Python's garbage collector stops everything while it looks at all
    that is kept, so there is one value for each PC and not the fifty of its view.

    `heard` is in seconds since the epoch. `loaded`: it has loaded something at least once; the others only asked and
    were offered something. `place` is the range that allows it, or empty; `alone`: that range is this address only.
    `addresses` were seen in its latest boot. `progress` says how far its running tasks are together, from 0 to 1; None:
    none is running."""

    mac: str
    label: str
    allowed: bool
    kind: Kind | None
    words: str
    heard: float
    diagnosis: Diagnosis | None
    addresses: str
    loaded: bool
    place: str
    alone: bool
    progress: float | None


@dataclass(frozen=True, slots=True)
class KeptPc:
    """A PC with its row as HTML, on one line. `version` is that of the room in which the row last changed. `listed`:
    the PC as the API lists it, in JSON."""

    facts: PcFacts
    row: str
    version: int
    sought: str
    listed: bytes


@dataclass(frozen=True, slots=True)
class Wanted:
    """The PCs that a person asked for: in this state, and with these words in what is shown of them. Empty: any."""

    state: Kind | None = None
    words: tuple[str, ...] = ()

    @classmethod
    def of(cls, state: str, text: str) -> "Wanted":
        """From what a browser sent. A state that there is not is none."""
        return cls(Kind(state) if state in tuple(Kind) else None, tuple(text.lower().split()[:_MOST_WORDS]))

    def __contains__(self, pc: KeptPc) -> bool:
        if self.state is not None and pc.facts.kind is not self.state:
            return False
        return all(word in pc.sought for word in self.words)

    def __bool__(self) -> bool:
        return self.state is not None or bool(self.words)


EVERYBODY = Wanted()

_MOST_WORDS = 8


def facts(view: ClientView, entry: Entry | None, loaded: bool, boinc: Condition) -> PcFacts:
    """What is kept of a PC. `entry` allows it, if one does; `boinc`: BOINC as its latest heartbeat found it."""
    now, boot = view.now, view.boot
    running = [task.fraction for task in boinc.tasks if task.active]
    return PcFacts(
        mac=view.mac,
        label=view.label,
        allowed=view.allowed,
        kind=now.kind if now else None,
        words=_words(now) if now else "no boot is kept",
        heard=now.heard if now else view.first_seen,
        diagnosis=boot.diagnosis if boot else None,
        addresses=" ".join(boot.addresses) if boot else "",
        loaded=loaded,
        place=str(entry.range) if entry else "",
        alone=entry is not None and entry.range.first == entry.range.last,
        progress=min(1.0, max(0.0, sum(running) / len(running))) if running else None,
    )


def sought(pc: PcFacts) -> str:
    """What a search looks at, in lower case."""
    wrong = pc.diagnosis.cause if pc.diagnosis else ""
    return " ".join((pc.mac, pc.mac.replace(":", ""), pc.label, pc.place, pc.words, pc.addresses, wrong)).lower()


def _words(now: PcState) -> str:
    # How long it is silent stands beside it, and is counted on by the browser.
    return str(now.kind) if now.kind is Kind.SILENT else now.words
