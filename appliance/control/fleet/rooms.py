"""The room at one moment: all PCs with their rows, and what is said above them. PURE."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from appliance.control.fleet.groups import PcGroup
from appliance.control.fleet.needs import Needs
from appliance.control.fleet.pcs import KeptPc, Wanted
from appliance.view.status import PcCounts, pc_counts


@dataclass(frozen=True, slots=True)
class Room:
    """`version` counts the changes since the process started; `arranged` is the one that last changed which PCs there
    are, or how they are grouped. `allowed`: how many MAC addresses may boot; `refused`: how many machines asked and may
    not. `read`: when the registry was last read, in seconds since the epoch, 0: not yet; `trouble`: why it cannot be
    read now, or empty. `top` is what stands above the PCs, `days` what they did day by
    day, as HTML."""

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
    top: str = ""
    days: str = ""

    def changed_since(self, version: int) -> list[KeptPc]:
        """The PCs that changed after `version`."""
        return [pc for pc in self.pcs.values() if pc.version > version]


@dataclass(frozen=True, slots=True)
class Change:
    """What is told to open pages. `pcs`: those that changed, each as it was before, or None. `top`: what stands above
    them, if it changed, and `heads`: what changed in the headings of the groups, as HTML. `anew`: more changed than
    that; pages have to be loaded again."""

    version: int
    pcs: tuple[tuple[KeptPc | None, KeptPc], ...]
    top: str
    heads: str
    anew: bool

    def rows(self, wanted: Wanted) -> str | None:
        """The rows of `wanted` that changed, and what changed around them; None: they are others than before."""
        if self.anew:
            return None
        if not wanted:
            return "".join(in_place(pc.row) for _, pc in self.pcs) + self.heads + in_place(self.top)
        rows = []
        for before, pc in self.pcs:
            now = pc in wanted
            if now != (before is not None and before in wanted):
                return None
            if now:
                rows.append(in_place(pc.row))
        return "".join(rows) + in_place(self.top)

    def names(self, mac: str) -> bool:
        """Whether this PC changed."""
        return any(pc.facts.mac == mac for _, pc in self.pcs)


def in_place(html: str) -> str:
    """An element with the attribute by which htmx puts it into the place of the one with the same `id`."""
    return html.replace(" ", ' hx-swap-oob="true" ', 1)
