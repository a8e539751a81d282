"""The room at one moment: all PCs with their rows, and what is said above them. PURE."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from appliance.control.fleet.groups import PcGroup
from appliance.control.fleet.needs import Needs
from appliance.control.fleet.pcs import KeptPc, Wanted
from appliance.heartbeats.work import WorkOfAll
from appliance.view.status import PcCounts, pc_counts


@dataclass(frozen=True, slots=True)
class Room:
    """`version` counts the changes since the process started; `arranged` is the one that last changed which PCs there
    are, or how they are grouped. `allowed`: how many MAC addresses may boot; `refused`: how many machines asked and may
    not. `read`: when the registry was last read, in seconds since the epoch, 0: not yet; `trouble`: why it cannot be
    read now, or empty. `edits` counts those of the registry (database.py, `edit`) that it shows. `work` is that of all
    PCs. `top` is what stands above the PCs, `days` what they did day by day, in parts, as HTML; `drawn` is the version
    in which that last changed."""

    version: int = 0
    arranged: int = 0
    pcs: Mapping[str, KeptPc] = field(default_factory=dict)
    groups: tuple[PcGroup, ...] = ()
    counts: PcCounts = field(default_factory=lambda: pc_counts({}))
    needs: Needs = field(default_factory=Needs)
    allowed: int = 0
    refused: int = 0
    image: str = ""
    read: float = 0.0
    trouble: str = ""
    edits: int = -1
    work: WorkOfAll = field(default_factory=WorkOfAll)
    top: str = ""
    days: tuple[str, ...] = ()
    drawn: int = 0

    def changed_since(self, version: int) -> list[KeptPc]:
        """The PCs that changed after `version`."""
        return [pc for pc in self.pcs.values() if pc.version > version]


@dataclass(frozen=True, slots=True)
class Change:
    """What is told to open pages. `pcs`: those that changed, each as it was before, or None. `top`: what stands above
    them, if it changed, `heads`: what changed in the headings of the groups, and `days`: what the PCs did day by day,
    if it was drawn anew, as HTML. `anew`: more changed than that; pages have to be loaded again."""

    version: int
    pcs: tuple[tuple[KeptPc | None, KeptPc], ...]
    top: str
    heads: str
    anew: bool
    days: tuple[str, ...] = ()

    def rows(self, wanted: Wanted) -> str | None:
        """The rows of `wanted` that changed, and what changed around them; None: they are others than before."""
        if self.anew:
            return None
        around = in_place(self.top) + "".join(map(in_place, self.days))
        if not wanted:
            return "".join(in_place(pc.row) for _, pc in self.pcs) + self.heads + around
        rows = []
        for before, pc in self.pcs:
            now = pc in wanted
            if now != (before is not None and before in wanted):
                return None
            if now:
                rows.append(in_place(pc.row))
        return "".join(rows) + around

    def names(self, mac: str) -> bool:
        """Whether this PC changed."""
        return any(pc.facts.mac == mac for _, pc in self.pcs)


def in_place(html: str) -> str:
    """An element with the attribute by which htmx puts it into the place of the one with the same `id`."""
    return html.replace(" ", ' hx-swap-oob="true" ', 1)
