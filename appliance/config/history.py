"""[history]: how much of the PCs' past is kept. PURE."""

from dataclasses import dataclass

MOST_BOOTS = 10_000
MOST_DAYS = 4_000


@dataclass(frozen=True)
class HistorySettings:
    """[history]. Of each PC: so many `boots`, the last `events` of them with all that happened in them, the others with
    what became of them. `days`: the latest days on which a PC was on whose figures are kept, and the boots since."""

    boots: int = 400
    events: int = 20
    days: int = 400

    def __post_init__(self) -> None:
        if not 1 <= self.boots <= MOST_BOOTS:
            raise ValueError(f"boots: must be from 1 to {MOST_BOOTS}")
        if not 1 <= self.events <= self.boots:
            raise ValueError(f"events: must be from 1 to {self.boots}, the number of boots that are kept")
        if not 1 <= self.days <= MOST_DAYS:
            raise ValueError(f"days: must be from 1 to {MOST_DAYS}")
