"""A PC as the fleet keeps it, and which of them a person asked for. PURE."""

from collections.abc import Iterable
from dataclasses import dataclass

from appliance.heartbeats.states import Kind
from appliance.view.clients import ClientView
from services.boinc.condition import Condition


@dataclass(frozen=True, slots=True)
class PcFacts:
    """What a row of the room shows. `loaded`: it has loaded something at least once; the others only asked and were
    offered something. `place` is the range that allows it, or empty; `alone`: that range is this address only.
    `fractions` says how far each running task is, from 0 to 1."""

    view: ClientView
    loaded: bool
    place: str
    alone: bool
    fractions: tuple[float, ...]

    @property
    def kind(self) -> Kind | None:
        """Its state; None if no boot of it is known."""
        return self.view.now.kind if self.view.now else None

    @property
    def words(self) -> str:
        """Its state in words."""
        return self.view.now.words if self.view.now else "no boot is kept"

    @property
    def progress(self) -> float | None:
        """How far the running tasks are together, from 0 to 1; None if none is running."""
        return sum(self.fractions) / len(self.fractions) if self.fractions else None


@dataclass(frozen=True, slots=True)
class KeptPc:
    """A PC with its row as HTML, on one line. `version` is that of the room in which the row last changed."""

    facts: PcFacts
    row: str
    version: int
    sought: str


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


def sought(facts: PcFacts) -> str:
    """What a search looks at, in lower case."""
    view = facts.view
    addresses = view.boot.addresses if view.boot else ()
    parts: Iterable[str] = (view.mac, view.mac.replace(":", ""), view.label, facts.place, facts.words, *addresses)
    return " ".join(parts).lower()


def fractions(boinc: Condition) -> tuple[float, ...]:
    """How far each running task is."""
    return tuple(min(1.0, max(0.0, task.fraction)) for task in boinc.tasks if task.active)
